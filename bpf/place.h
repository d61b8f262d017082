/* The cookie of a hit whose link holds many sites and one cookie for all of them: found by place, which is the link's
 * number and the file offset of the instruction. record/places.py fills the table before the link is made.
 *
 * Macros from the generator: PLACES, and IMAGE_BIAS (address minus file offset of the code) or, for an executable whose
 * load address varies, GOEXIT_OFFSET.
 */

BPF_F_TABLE("hash", u64, u64, places, PLACES, 0);

#define PLACE_ABSOLUTE (1ull << 15)

/* 0: no site that is known. */
static __always_inline u64 place_cookie(struct pt_regs *ctx)
{
	u64 link = bpf_get_attach_cookie(ctx), bias = 0, key, *found;

	if (!(link & PLACE_ABSOLUTE)) {
#ifdef IMAGE_BIAS
		bias = IMAGE_BIAS;
#else
		/* The outermost frame of every goroutine returns into goexit; the address of that lies below four spare words
		 * (runtime/proc.go newproc1, Go 1.18 to 1.27; for callbacks from C, oneNewExtraM and cgocallback). In goexit's
		 * own call of goexit1 it is a few bytes further: images begin at whole pages. */
		struct goroutine of = {};

		if (find_goroutine(ctx, &of) || !of.g)
			return 0;
		bias = user_word(user_word(of.g + G_STACK_HI) - 40) - GOEXIT_OFFSET;
		bias &= ~4095ull;
#endif
	}
	key = link << 48 | ((hit_ip(ctx) - bias) & ((1ull << 48) - 1));
	found = places.lookup(&key);
	return found ? *found : 0;
}
