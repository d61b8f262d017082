/* --if: a condition on values, tested where they lie; a call that does not meet it sends nothing, its exit neither.
 *
 * The expression itself is generated C (record/conditioncode.py); where its values are at a site is a row of a table for
 * each (plan/conditions.py). What it says of an entry decides at once, or, when results are in the condition, waits with
 * the entry for the exit. Nesting stays exact because an exit counts only when its very frame is known to have been let in.
 *
 * Macros from the generator: SITES, CONDITION_LOADS (rows of the table), CONDITION_VALUES (that the
 * expression names), CONDITION_FRAMES, CONDITION_EXITS (0/1: exits are probed), CONDITION_THREADS, SLEEPABLE. hit.h, results.h and
 * frames.h stand before this file, the expression behind it. Interface: condition_scratch_of(), condition_admits(),
 * condition_remembers(), condition_ends(), condition_over().
 */

#define CONDITION_HOPS 8    /* pointers on the way to a value */
#if MAY_GOTO
#define CONDITION_UNWIND 4096 /* frames that one hit forgets */
#else
#define CONDITION_UNWIND 8
#endif
#define CONDITION_TEXT 256  /* bytes of a text, as far as it is looked at */
#define CONDITION_ENDED 254 /* of one that only a NUL ends */
#define CONDITION_BIG (1ull << 63)

#define LOAD_ABSENT 0
#define LOAD_REGISTER 1 /* the word in a register */
#define LOAD_STACK 2    /* the address SP at entry + number */
#define LOAD_LINKED 3   /* the address that is number as linked */
#define LOAD_NUMBER 4

#define LOAD_SIGNED 1   /* the number is signed */
#define LOAD_NIL_IS_0 2 /* where the last pointer is nil stands 0 */
#define LOAD_TEXT 4     /* two words: address and length */
#define LOAD_ENDED 8    /* text that a NUL ends, of at most `size` bytes */
#define LOAD_MEMORY 16  /* what was found is an address: the value lies there, at `last` */

struct condition_hop {
	s32 offset; /* from what was found so far: there lies the next pointer */
	s32 index;  /* 0 or more: behind it lies a length that must be larger */
};

/* The way to a value. */
struct condition_load {
	s64 number;
	s32 last;
	s32 index;  /* of the register itself, as in a hop: the length is in `second`; -1: none */
	u8 start;   /* LOAD_* */
	u8 register_;
	u8 second;  /* register of the length of a text or slice */
	u8 flags;
	u8 size;    /* bytes of a number */
	u8 shift;   /* bits in front of it in a register */
	u8 hops;
	u8 pad;
	struct condition_hop hop[CONDITION_HOPS];
};

struct condition_site {
	u64 address; /* as linked: with ip it gives the load bias */
	u64 truths;  /* of parts that are known for a function: two bits each, see below */
	u32 first;   /* load */
	u8 used;     /* 0: no call meets the condition here */
	u8 waits;    /* an entry whose exit decides */
	u8 pad[2];
};

struct condition_value {
	u64 word;
	u64 length; /* of a text */
	u32 known;
	u32 big;    /* 2^63 or more, not negative */
};

/* A frame that was let in, or that waits for its exit. */
struct condition_frame {
	struct event event; /* its entry */
	u64 truths;
	u32 waits;
	u32 above; /* depth of the frame that was innermost of its stack when it began; 0: none */
};

/* Of a stack with such frames: the depth of the innermost. Frames that end without an exit are found by it. */
struct condition_stack {
	u64 stack; /* as in frame_key */
	u64 pid;
};

struct condition_scratch {
	struct kept_hit hit;
	struct condition_value value[CONDITION_VALUES + 1];
	u64 registers[REGISTERS];
	u64 bias;
	u64 truths; /* of all parts: bit 0 it holds, bit 1 it fails, none: unknown */
	u64 words[4], masks[4]; /* what is searched for */
	struct condition_frame frame; /* of an exit: as its entry left it */
	struct frame_key key;
	struct condition_stack stack;
	u64 round;
	u64 verdict; /* of an entry, exit or point; of anything else ADMITTED */
	u8 text[CONDITION_TEXT + 64];
};

#define REJECTED 0
#define ADMITTED 1
#define WAITS 2

BPF_F_TABLE("array", u32, struct condition_site, condition_sites, SITES, 1024 /* BPF_F_MMAPABLE */);
BPF_F_TABLE("array", u32, struct condition_load, condition_loads, CONDITION_LOADS, 1024 /* BPF_F_MMAPABLE */);
BPF_F_TABLE("hash", u32, struct condition_scratch, condition_scratches, CONDITION_THREADS, 1 /* BPF_F_NO_PREALLOC */);
BPF_F_TABLE("array", u32, struct condition_scratch, condition_blank, 1, 0);
BPF_F_TABLE("hash", struct frame_key, struct condition_frame, condition_frames, CONDITION_FRAMES, 1);
BPF_F_TABLE("hash", struct condition_stack, u64, condition_stacks, CONDITION_FRAMES, 1);

static __always_inline struct condition_scratch *condition_scratch_of(u32 tid)
{
	struct condition_scratch *scratch = condition_scratches.lookup(&tid);
	u32 zero = 0;

	if (scratch)
		return scratch;
	scratch = condition_blank.lookup(&zero);
	if (!scratch)
		return 0;
	condition_scratches.update(&tid, scratch);
	return condition_scratches.lookup(&tid);
}

/* Follows the pointers to a value; leaves the last one in v->word. */
static __always_inline void condition_walk(struct condition_scratch *s, struct condition_load *load,
					   struct condition_value *v)
{
	u64 second = s->registers[load->second & (REGISTERS - 1)];

	v->known = load->start != LOAD_ABSENT && !s->hit.unread;
	v->length = second;
	if (load->start == LOAD_REGISTER)
		v->word = s->registers[load->register_ & (REGISTERS - 1)];
	else if (load->start == LOAD_STACK)
		v->word = s->hit.sp + load->number;
	else if (load->start == LOAD_LINKED)
		v->word = s->bias + load->number;
	else
		v->word = load->number;
	if (load->index >= 0 && !(second > load->index && second < CONDITION_BIG))
		v->known = 0;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < CONDITION_HOPS; i++) {
		u64 words[2] = {};
		u32 at = i;

		if (i >= load->hops || !v->known)
			break;
		value_opaque(at);
		at &= CONDITION_HOPS - 1;
		if (!v->word || value_copy(words, load->hop[at].index < 0 ? 8 : 16, (void *)(v->word + load->hop[at].offset)))
			v->known = 0;
		if (load->hop[at].index >= 0 && !(words[1] > load->hop[at].index && words[1] < CONDITION_BIG))
			v->known = 0;
		v->word = words[0];
	}
}

/* BPF has no way to compare but to jump, and the verifier follows every jump of every step: so bits, where bits do. */
static __always_inline u64 condition_top_bit(u64 word)
{
	/* Or the compiler, who knows what is meant, makes a jump of it after all. */
	value_opaque(word);
	word >>= 63;
	value_opaque(word);
	return word;
}

static __always_inline u64 condition_any(u64 word)
{
	return condition_top_bit(word | -word);
}

static __always_inline u64 condition_below(u64 x, u64 y)
{
	return condition_top_bit((~x & y) | (~(x ^ y) & (x - y)));
}

static __always_inline u64 condition_extend(u64 word, u32 size, u64 is_signed)
{
	u32 shift = (64 - 8 * size) & 63;

	word <<= shift;
	return (((u64)((s64)word >> shift)) & -is_signed) | ((word >> shift) & (is_signed - 1));
}

/* Reads a value: a number, or address and length of a text. */
static __always_inline void condition_read(struct condition_scratch *s, struct condition_load *load,
					   struct condition_value *v)
{
	u64 words[2] = {}, is_signed = load->flags & LOAD_SIGNED;
	u32 size = load->size;
	s64 got;

	condition_walk(s, load, v);
	v->big = 0;
	if (!v->known)
		return;
	if (!(load->flags & LOAD_MEMORY)) {
		if (!(load->flags & LOAD_TEXT)) {
			v->word = condition_extend(v->word >> (load->shift & 63), size, is_signed);
			v->big = (is_signed ^ 1) & condition_top_bit(v->word);
		}
		v->known = (load->flags & LOAD_TEXT) == 0 || v->length < CONDITION_BIG;
		return;
	}
	if (!v->word) {
		v->known = (load->flags & LOAD_NIL_IS_0) != 0;
		return;
	}
	v->word += load->last;
	if (load->flags & LOAD_ENDED) {
		size++;
		value_opaque(size);
		size &= CONDITION_TEXT - 1;
		got = read_user_text(s->text, size, (void *)v->word);
		v->known = got > 0;
		/* What fills a text without a length of its own may go on: longer than anything it is compared with. */
		v->length = got == CONDITION_ENDED + 1 ? CONDITION_BIG - 1 : got - 1;
		return;
	}
	if (load->flags & LOAD_TEXT)
		size = 16;
	value_opaque(size);
	size &= 31;
	if (size > 16 || value_copy(words, size, (void *)v->word))
		v->known = 0;
	v->word = words[0];
	v->length = words[1];
	if (load->flags & LOAD_TEXT) {
		v->known &= words[1] < CONDITION_BIG;
		return;
	}
	v->word = condition_extend(words[0], size, is_signed);
	v->big = (is_signed ^ 1) & condition_top_bit(v->word);
}

/* Truths: bit 0 it holds, bit 1 it fails, none: unknown. */
static __always_inline u64 condition_truth(u64 known, u64 holds)
{
	return (1 + (condition_any(holds) ^ 1)) * known;
}

static __always_inline u64 condition_not(u64 a)
{
	return (a & 1) << 1 | a >> 1;
}

static __always_inline u64 condition_and(u64 a, u64 b)
{
	return (a & b & 1) | ((a | b) & 2);
}

static __always_inline u64 condition_or(u64 a, u64 b)
{
	return ((a | b) & 1) | (a & b & 2);
}

/* Numbers from -2^63 to 2^64-1. */
static __always_inline struct condition_value condition_number(u64 word, u32 big)
{
	struct condition_value number = { .word = word, .known = 1, .big = big };

	return number;
}

#define STEP_ADD 1
#define STEP_SUBTRACT 2
#define STEP_MULTIPLY 3
#define STEP_DIVIDE 4 /* floors */
#define STEP_MODULO 5 /* has the sign of the divisor */

/* On magnitudes, with the signs put back: BPF divides unsigned. Unknown where the result is not below 2^63. */
static __always_inline struct condition_value condition_calculate(u32 step, struct condition_value a,
								   struct condition_value b)
{
	u64 x = a.word, y = b.word, result, wrong;
	u64 xs = (s64)x >> 63, ys = (s64)y >> 63, differ = xs ^ ys;
	u64 xm = (x ^ xs) - xs, ym = (y ^ ys) - ys;

	if (step == STEP_ADD) {
		result = x + y;
		wrong = ((x ^ result) & (y ^ result)) >> 63;
	} else if (step == STEP_SUBTRACT) {
		result = x - y;
		wrong = ((x ^ y) & (x ^ result)) >> 63;
	} else if (step == STEP_MULTIPLY) {
		u64 most = (CONDITION_BIG - 1) / (xm | (condition_any(xm) ^ 1));
		wrong = condition_below(most, ym) & condition_any(xm);
		result = x * y;
	} else {
		u64 divisor = ym | (condition_any(ym) ^ 1), quotient = xm / divisor, rest = xm % divisor;
		u64 floored = condition_any(rest) & differ;

		wrong = condition_any(ym) ^ 1;
		if (step == STEP_DIVIDE) {
			quotient += floored;
			result = (quotient ^ differ) - differ;
		} else {
			rest = ((ym - rest) & -floored) | (rest & (floored - 1));
			result = (rest ^ ys) - ys;
		}
	}
	a.known &= b.known & (wrong ^ 1) & (a.big ^ 1) & (b.big ^ 1);
	a.big = 0;
	a.word = result;
	return a;
}

static __always_inline u64 condition_equal(struct condition_value a, struct condition_value b)
{
	return condition_truth(a.known & b.known, condition_any((a.word ^ b.word) | (a.big ^ b.big)) ^ 1);
}

static __always_inline u64 condition_less(struct condition_value a, struct condition_value b)
{
	u64 big = a.big ^ b.big;
	u64 less = condition_below(a.word ^ (u64)(a.big ^ 1) << 63, b.word ^ (u64)(b.big ^ 1) << 63);

	return condition_truth(a.known & b.known, (big & b.big) | ((big ^ 1) & less));
}

/* Whether a text has `wanted` bytes, or with `more` at least that many. */
static __always_inline u64 condition_length(struct condition_value *text, u64 wanted, u64 more)
{
	u64 shorter = condition_below(text->length, wanted), longer = condition_below(wanted, text->length);

	return condition_truth(text->known, (shorter | (longer & (more ^ 1))) ^ 1);
}

/* The first bytes of a text, or its last ones, in s->text; 0 when they are there. */
static __always_inline s64 condition_piece(struct condition_scratch *s, struct condition_value *text, u32 size, u64 from_end)
{
	return value_copy(s->text, size, (void *)(text->word + ((text->length - size) & -from_end)));
}

/* Whether the `length` bytes in s->words are in a text: in as much of it as is looked at. */
static __always_inline u64 condition_search(struct condition_scratch *s, struct condition_value *text, u32 length)
{
	u64 hit = 0, searched = text->length < CONDITION_TEXT ? text->length : CONDITION_TEXT;
	u32 size = searched;

	if (!text->known)
		return 0;
	value_opaque(size);
	size &= 511;
	if (size > CONDITION_TEXT || (size && value_copy(s->text, size, (void *)text->word)))
		return 0;
#pragma unroll
	for (u32 i = 0; i < 4; i++)
		s->masks[i] = length >= 8 * i + 8 ? ~0ull : length > 8 * i ? (1ull << (8 * length & 63)) - 1 : 0;
#pragma clang loop unroll(disable)
	ROUNDS (s, i, CONDITION_TEXT) {
		u32 place = i;
		u64 differs;
		u8 *from;

		value_opaque(place);
		place &= CONDITION_TEXT - 1;
		from = s->text + place;
		differs = (*(u64 *)from ^ s->words[0]) & s->masks[0];
		differs |= (*(u64 *)(from + 8) ^ s->words[1]) & s->masks[1];
		differs |= (*(u64 *)(from + 16) ^ s->words[2]) & s->masks[2];
		differs |= (*(u64 *)(from + 24) ^ s->words[3]) & s->masks[3];
		/* Whole, and inside the text. */
		hit |= (condition_any(differs) ^ 1) & (condition_top_bit(searched - place - length) ^ 1);
	}
	/* Behind what was looked at, it may yet be. */
	return condition_truth(hit | (text->length <= CONDITION_TEXT), hit);
}
