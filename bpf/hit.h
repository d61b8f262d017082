/* What values.h and condition.h share: registers, user memory, and what a hit knows already. */

/* Kept in memory during a capture or the test of a condition: what the verifier knows of it must not tell one way to get
 * there from another, or it walks the whole machine once for each. */
struct kept_hit {
	struct event event;
	struct goroutine_key key;
	u64 cookie;
	u64 depth;
	u64 sp; /* at function entry */
	u64 g;  /* of the user goroutine */
	u32 ring;
	u32 pad;
};

/* Reads user memory. A page that is not in memory, such as one of constants that nobody has looked at yet, can only be
 * brought in by a program that may sleep. */
static __always_inline s64 value_copy(void *to, u32 size, void *from)
{
	s64 got = bpf_probe_read_user(to, size, from);
#if SLEEPABLE
	if (got < 0)
		got = bpf_copy_from_user(to, size, from);
#endif
	return got;
}

/* By the numbers of value plans (target/abi.py). */
static __always_inline void read_registers(u64 *to, struct pt_regs *ctx, u64 sp)
{
	to[0] = ctx->ax;
	to[1] = ctx->bx;
	to[2] = ctx->cx;
	to[3] = ctx->di;
	to[4] = ctx->si;
	to[5] = ctx->r8;
	to[6] = ctx->r9;
	to[7] = ctx->r10;
	to[8] = ctx->r11;
	to[9] = ctx->dx;
	to[10] = ctx->bp;
	to[11] = sp;
	to[12] = ctx->r12;
	to[13] = ctx->r13;
	to[14] = ctx->r14;
	to[15] = ctx->r15;
}
