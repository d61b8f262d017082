/* Reads of the target's memory, under names of our own. Where a program calls bpf_probe_read_user, BCC looks whether the
 * kernel has it: it sorts all names of /proc/kallsyms, which takes as long as to compile, and if it may not see them it
 * takes another helper (src/cc/frontends/clang/b_frontend_action.cc, BCC 0.26). */

static long (*read_user)(void *to, u32 size, const void *from) = (void *)BPF_FUNC_probe_read_user;
static long (*read_user_text)(void *to, u32 size, const void *from) = (void *)BPF_FUNC_probe_read_user_str;
