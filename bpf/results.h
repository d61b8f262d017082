/* Registers as at the RET, at an exit site before it: the steps that lead there were found beforehand
 * (target/results.py); record/resultmaps.py fills the tables. hit.h stands before this file. Without REGISTER_NONE,
 * where the processor has no such sites, all sites are as they are. Interface: read_registers_of().
 */

#define RESULT_STEPS 8

/* to = base + (second << shift) + number; then what lies at that address; then cut. */
struct result_step {
	s64 number;
	u8 to;
	u8 base;
	u8 second;
	u8 shift;
	u8 load;      /* bytes, 0: none */
	u8 cut;       /* bits taken off above... */
	u8 is_signed; /* ... and filled up again with the highest that is left */
	u8 keep;      /* after that: bits filled up with 0 */
};

struct result_site {
	u32 first[2]; /* step; on the fallthrough edge, on the taken edge */
	u16 steps[2];
	u32 pad;
};

BPF_F_TABLE("array", u32, struct result_site, result_sites, SITES, 1024 /* BPF_F_MMAPABLE */);
BPF_F_TABLE("array", u32, struct result_step, result_steps, RESULT_ROWS, 1024 /* BPF_F_MMAPABLE */);

#ifdef REGISTER_NONE
static __always_inline void result_take(u64 *registers, struct result_step *step, struct kept_hit *hit)
{
	u64 word = registers[step->base & (REGISTERS - 1)], other = registers[step->second & (REGISTERS - 1)];
	u64 is_signed = -(u64)(step->is_signed & 1);

	word += (other << (step->shift & 63)) + step->number;
	if (step->load) {
		u32 size = step->load - 1;
		u64 found = 0;

		value_opaque(size);
		size = (size & 7) + 1;
		if (value_copy(&found, size, (void *)word))
			hit->unread = 1;
		word = found;
	}
	word <<= step->cut & 63;
	word = ((u64)((s64)word >> (step->cut & 63)) & is_signed) | (word >> (step->cut & 63) & ~is_signed);
	registers[step->to & (REGISTERS - 1)] = word << (step->keep & 63) >> (step->keep & 63);
}

#endif

/* Registers as a function's entry or its RET has them; hit->unread says whether memory was missing. */
static __always_inline void read_registers_of(struct kept_hit *hit, u64 *registers, struct pt_regs *ctx, u64 bias)
{
	hit->unread = 0;
	read_registers(registers, ctx, hit->sp);
#ifdef REGISTER_NONE
	u32 index = hit->event.site, edge = hit->taken & 1, first, steps;
	struct result_site *site = result_sites.lookup(&index);
	struct result_step *step;

	registers[REGISTER_NONE] = 0;
	registers[REGISTER_BIAS] = bias;
	if (!site)
		return;
	value_opaque(edge);
	edge &= 1;
	first = site->first[edge];
	steps = site->steps[edge];
#pragma clang loop unroll(disable)
	ROUNDS (hit, i, RESULT_STEPS) {
		/* Or the compiler counts down from what it knows of neither end. */
		value_opaque(steps);
		if (i >= steps)
			break;
		index = first + i;
		step = result_steps.lookup(&index);
		if (!step)
			break;
		result_take(registers, step, hit);
	}
#endif
}
