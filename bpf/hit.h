/* What values.h and condition.h share: registers, user memory, long loops, and what a hit knows already. */

/* ROUNDS(s, i, n): for i from 0 to n - 1, n being a constant. The verifier walks a loop that counts round by round, with
 * every path of every round. One that may also end by itself (may_goto, Linux 6.9 kernel/bpf/verifier.c) it walks until a
 * round brings nothing new, if it knows nothing of the count: s->round. The kernel's own limit is 8 million rounds.
 * In bytes, since assemblers before LLVM 19 have no word for it. */
#if MAY_GOTO
#define MAY_GO_ON ({                                                                                                     \
	__label__ end, on;                                                                                               \
	int more = 1;                                                                                                    \
	asm volatile goto("1: .byte 0xe5; .byte 0; .long ((%l[end] - 1b - 8) / 8) & 0xffff; .short 0" :::: end);        \
	goto on;                                                                                                         \
end:                                                                                                                     \
	more = 0;                                                                                                        \
on:;                                                                                                                     \
	more;                                                                                                            \
})
#define ROUND_OF(s) (*(volatile u32 *)&(s)->round)
#define ROUNDS(s, i, n) for (u32 i = (ROUND_OF(s) = 0, ROUND_OF(s)); i < (n) && MAY_GO_ON; i = (ROUND_OF(s)++, ROUND_OF(s)))
#else
#define ROUNDS(s, i, n) for (u32 i = 0; i < (n); i++)
#endif

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
	u32 taken;  /* 1: the jump at the site is taken */
	u32 unread; /* 1: memory that a register was to come from could not be read */
	u32 round;
};

/* Reads user memory. A page that is not in memory, such as one of constants that nobody has looked at yet, can only be
 * brought in by a program that may sleep. */
static __always_inline s64 value_copy(void *to, u32 size, void *from)
{
	s64 got = read_user(to, size, from);
#if SLEEPABLE
	if (got < 0)
		got = bpf_copy_from_user(to, size, from);
#endif
	return got;
}
