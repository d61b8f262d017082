/* Find the goroutine behind a hit from registers and user memory alone: nothing here depends on the kernel's types.
 * Offsets come as macros from the target's own runtime layout: G_GOID G_M M_G0 M_GSIGNAL M_CURG G_PARENT G_GOPC G_STARTPC.
 */

#define G_STACK_LO 0
#define G_STACK_HI 8
#define G_SCHED_SP 56 /* runtime.gobuf.sp, first field of g.sched, Go 1.17 to 1.27 */

struct goroutine {
	u64 g;     /* address of the user goroutine's runtime.g, 0: none */
	u64 goid;  /* 0: none */
	u64 hi;    /* stack.hi of the stack that SP is on */
	u32 stack; /* EVENT_STACK_MASK values */
};

static __always_inline u64 user_word(u64 address)
{
	u64 word = 0;
	read_user(&word, sizeof(word), (void *)address);
	return word;
}

/* What should be g is believed only when SP lies within its stack. Returns 0 when found. */
static __always_inline int find_goroutine(struct pt_regs *ctx, struct goroutine *out)
{
	u64 span[G_GOID / 8 + 1]; /* one read of g.stack.lo .. g.goid costs no more than one word */
	u64 g = hit_g(ctx), sp = hit_sp(ctx);

	if (read_user(span, sizeof(span), (void *)g))
		return -1;
	if (sp < span[G_STACK_LO / 8] || sp > span[G_STACK_HI / 8])
		return -1;
	out->hi = span[G_STACK_HI / 8];
	out->goid = span[G_GOID / 8];
	out->g = g;
	out->stack = 0;
	if (out->goid == 0) {
		/* g0 or gsignal: the thread works for m.curg, if for any. */
		u64 m = span[G_M / 8];
		if (g == user_word(m + M_G0))
			out->stack = 1;
		else if (g == user_word(m + M_GSIGNAL))
			out->stack = 2;
		else
			return -1; /* no goroutine at all, or the offsets are wrong */
		out->g = user_word(m + M_CURG);
		if (out->g)
			out->goid = user_word(out->g + G_GOID);
	}
	return 0;
}
