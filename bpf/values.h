/* Reads the values of a hit: a small machine that chases pointers by tables, so that one program serves every plan.
 *
 * What it makes is a blob: first the root area (the load bias with CAPTURE_* in its low bits, register words, a span of the
 * stack), then segments of memory, each a struct value_segment and its bytes, padded to 8. It knows no Go types: record/valuemaps.py fills the tables,
 * trace/values.py decodes the blob.
 *
 * Macros from the generator: SITES, VALUE_PROGRAMS, VALUE_REFS, VALUE_TYPES (rows of the tables), VALUE_BYTES (the most a
 * blob may hold, a power of two), VALUE_DEPTH (pointers followed in a row), VALUE_THREADS, VALUE_REDACTED (0/1: some words
 * are erased again); hit.h and results.h stand before this file. rings.h too. Interface: value_scratch_of(),
 * capture_values().
 */

/* Items and references of one capture; fewer beside a condition where the verifier counts rounds, since it follows both in
 * one program. */
#ifndef VALUE_STEPS
#if CONDITION && (GATED || DEFERRED) && !MAY_GOTO
#define VALUE_STEPS 64
#elif CONDITION && !MAY_GOTO
#define VALUE_STEPS 128
#else
#define VALUE_STEPS 256
#endif
#endif
#define VALUE_QUEUE 128 /* a power of two */

/* What a reference says about the words at its offset. */
#define REF_POINTER 0   /* p: the program at p + displacement */
#define REF_BYTES 1     /* p, length: at most `cap` bytes at p */
#define REF_SLICE 2     /* p, length: the program for at most `cap` elements at p */
#define REF_INDEX 3     /* p, length: if length > cap, the program at p + displacement */
#define REF_IFACE 4     /* itab, data: the program for the dynamic type, whose word is at itab + displacement, at data */
#define REF_EFACE 5     /* type, data: the same */
#define REF_TEXT 6      /* p: NUL-ended text of at most `cap` bytes at p + displacement */
#define REF_ABSOLUTE 7  /* nothing: the program at displacement, an address as linked */
#define REF_SHAPE 8     /* generic dictionary: its word at displacement is the type of the pointer at offset `cap` */
#define REF_MASK 9      /* nothing: of the word here, only the bits in displacement are kept */

struct value_site {
	u64 address;      /* as linked: with ip it gives the load bias */
	u32 first_ref;
	u16 refs;
	u16 stack_bytes;  /* of the span */
	s32 stack_offset; /* from SP at function entry */
	u8 registers;     /* number of register words */
	u8 used;          /* 0: nothing to read here */
	u8 register_of[16];
	u8 pad[2];
};

struct value_program {
	u32 first_ref;
	u16 refs;
	u16 size; /* bytes of an element */
};

struct value_ref {
	s64 displacement;
	u16 offset;  /* in the element */
	u16 cap;
	u16 program;
	u8 kind;
	u8 cost;     /* pointers this counts as, against VALUE_DEPTH */
};

struct value_segment {
	u64 address;
	u32 length; /* stored bytes */
	u32 status; /* SEGMENT_* */
};

#define SEGMENT_OK 0
#define SEGMENT_UNREADABLE 1
#define SEGMENT_CUT 2 /* no more room in the blob */

struct value_header {
	u64 time_ns; /* of the event */
	u32 tid;     /* of the event */
	u32 site;
	u32 length;  /* of the blob */
	u32 status;  /* CAPTURE_* again */
};

#define CAPTURE_FULL 1   /* the blob, the queue or the steps ran out: something was left unread */
#define CAPTURE_STACK 2  /* the stack span could not be read, or what registers come from */

struct value_item {
	u64 address;
	u16 program;
	u16 count;
	u8 text;
	u8 depth;
	u16 pad;
};

/* Working memory of one thread: a thread is in one hit at a time, whatever preempts it. */
struct value_scratch {
	struct kept_hit hit;
	u64 registers[REGISTERS];
	struct value_item queue[VALUE_QUEUE];
	u64 bias;
	u32 head, tail;      /* of the queue */
	u32 used;            /* bytes of the blob */
	u32 base;            /* of the current element in the blob */
	u32 start;           /* of its segment, 0: it is in the root area */
	u32 ref, refs;       /* references of the current element still to do */
	u32 first_ref;       /* of the current program */
	u16 program_refs;
	u16 size;
	u32 elements;        /* still to do after the current one */
	u32 depth;
	u32 status;
	u32 round;
	struct value_header header;
	u8 blob[2 * VALUE_BYTES + 16];
};

BPF_F_TABLE("array", u32, struct value_site, value_sites, SITES, 1024 /* BPF_F_MMAPABLE */);
BPF_F_TABLE("array", u32, struct value_program, value_programs, VALUE_PROGRAMS, 1024 /* BPF_F_MMAPABLE */);
BPF_F_TABLE("array", u32, struct value_ref, value_refs, VALUE_REFS, 1024 /* BPF_F_MMAPABLE */);
/* Address of a runtime type as linked -> program of what an interface's data word points at | cost << 16. */
BPF_F_TABLE("hash", u64, u32, value_types, VALUE_TYPES, 0);
BPF_F_TABLE("hash", u32, struct value_scratch, value_scratches, VALUE_THREADS, 1 /* BPF_F_NO_PREALLOC */);
BPF_F_TABLE("array", u32, struct value_scratch, value_blank, 1, 0);

static __always_inline u64 value_word(struct value_scratch *s, u32 offset)
{
	value_opaque(offset);
	offset &= VALUE_BYTES - 1;
	return *(u64 *)(s->blob + offset);
}

static __always_inline void value_keep(struct value_scratch *s, u32 offset, u64 bits)
{
	value_opaque(offset);
	offset &= VALUE_BYTES - 1;
	*(u64 *)(s->blob + offset) &= bits;
}

static __always_inline void value_push(struct value_scratch *s, u64 address, u32 program, u32 count, u32 cost, u32 text)
{
	struct value_item *item;
	u32 depth = s->depth + cost, tail = s->tail;

	if (depth > VALUE_DEPTH)
		return;
	if (tail - s->head >= VALUE_QUEUE) {
		s->status |= CAPTURE_FULL;
		return;
	}
	value_opaque(tail);
	item = &s->queue[tail & (VALUE_QUEUE - 1)];
	item->address = address;
	item->program = program;
	item->count = count;
	item->depth = depth;
	item->text = text;
	s->tail++;
}

/* Appends a segment; returns its bytes' place in the blob, 0 when there is none. */
static __always_inline u32 value_read(struct value_scratch *s, u64 address, u32 size, u32 text)
{
	struct value_segment *segment;
	u32 at = s->used;
	s64 got;

	value_opaque(at);
	at &= VALUE_BYTES - 1;
	segment = (struct value_segment *)(s->blob + at);
	segment->address = address;
	segment->length = 0;
	segment->status = SEGMENT_UNREADABLE;
	value_opaque(size);
	size &= VALUE_BYTES - 1;
	if (text) {
		got = read_user_text(s->blob + at + sizeof(*segment), size, (void *)address);
		size = got;
	} else {
		got = value_copy(s->blob + at + sizeof(*segment), size, (void *)address);
	}
	at += sizeof(*segment);
	s->used = at;
	if (got < 0)
		return 0;
	segment->length = size;
	segment->status = SEGMENT_OK;
	s->used = at + ((size + 7) & ~7u);
	return at;
}

/* Room for a segment of that many bytes? */
static __always_inline int value_fits(struct value_scratch *s, u32 size)
{
	return s->used + sizeof(struct value_segment) + size + 8 <= VALUE_BYTES;
}

/* What an interface's data word points at depends on its type word. That lies in the interface itself, or elsewhere (in an
 * itab or a generic dictionary): then it is kept as a segment, since the decoder wants it too. Returns the program for
 * data, with its cost above 16 bits; 0: none. */
static __always_inline u32 value_dynamic(struct value_scratch *s, u64 word, u64 address)
{
	u32 *program;
	u32 at;

	if (address) {
		word = 0;
		if (value_fits(s, 8)) {
			at = value_read(s, address, 8, 0);
			if (at)
				word = value_word(s, at);
		} else {
			s->status |= CAPTURE_FULL;
		}
	}
	word -= s->bias;
	program = value_types.lookup(&word);
	return program ? *program : 0;
}

/* Written so that the cases meet again early: the verifier walks every path of every step. */
static __always_inline void value_follow(struct value_scratch *s, struct value_ref *ref)
{
	u32 at = s->base + ref->offset, kind = ref->kind, program = ref->program, cap = ref->cap, count = 1;
	u64 word = value_word(s, at), second = value_word(s, at + 8), shift = ref->displacement;

	if (kind <= REF_SLICE && kind != REF_POINTER) {
		count = second < cap ? second : cap;
	} else if (kind == REF_TEXT) {
		count = cap;
	} else if (kind == REF_INDEX) {
		count = second > cap && second < 1ull << 63;
	} else if (kind == REF_ABSOLUTE) {
		word = s->bias | 1;
		shift -= 1;
	} else if (kind == REF_MASK) {
		value_keep(s, at, shift);
		return;
	}
	if (!word || !count)
		return;
	if (kind == REF_IFACE || kind == REF_EFACE || kind == REF_SHAPE) {
		u64 type_at = kind == REF_EFACE ? 0 : word + shift;
		u64 data = kind == REF_SHAPE ? value_word(s, s->base + cap) : second;
		program = value_dynamic(s, word, type_at);
		word = data;
		shift = 0;
		if (!word)
			return;
	}
	if (program)
		value_push(s, word + shift, program & 0xffff, count, (program >> 16) + ref->cost, kind == REF_TEXT);
}

/* Takes the next item of the queue: reads its bytes and makes it the current element. 0 when there is none. */
static __always_inline int value_next(struct value_scratch *s)
{
	u32 head = s->head, program, count, size, room;
	struct value_program *found;
	struct value_item *item;

	if (head == s->tail)
		return 0;
	s->head = head + 1;
	value_opaque(head);
	item = &s->queue[head & (VALUE_QUEUE - 1)];
	program = item->program;
	found = value_programs.lookup(&program);
	if (!found)
		return 1;
	count = item->count;
	size = found->size * count;
	room = VALUE_BYTES - sizeof(struct value_segment) - 8 - s->used;
	if ((s32)room < 0)
		room = 0;
	if (size > room) {
		s->status |= CAPTURE_FULL;
		count = found->size ? room / found->size : 0;
		size = count * found->size;
	}
	if (size == 0)
		return 1;
	s->start = s->used;
	s->base = value_read(s, item->address, size, item->text);
	if (!s->base)
		return 1;
	s->first_ref = found->first_ref;
	s->program_refs = found->refs;
	s->ref = found->first_ref;
	s->refs = found->refs;
	s->size = found->size;
	s->elements = found->refs ? count - 1 : 0;
	s->depth = item->depth;
	return 1;
}

/* One step: a reference, or the next item. 0 when all is done. */
static __always_inline int value_step(struct value_scratch *s)
{
	struct value_ref *ref;
	u32 index;

	if (!s->refs)
		return value_next(s);
	index = s->ref;
	ref = value_refs.lookup(&index);
	if (ref)
		value_follow(s, ref);
	s->ref = index + 1;
	s->refs--;
	if (!s->refs && s->elements) {
		s->elements--;
		s->base += s->size;
		s->ref = s->first_ref;
		s->refs = s->program_refs;
	}
	return 1;
}

static __always_inline struct value_scratch *value_scratch_of(u32 tid)
{
	struct value_scratch *scratch = value_scratches.lookup(&tid);
	u32 zero = 0;

	if (scratch)
		return scratch;
	scratch = value_blank.lookup(&zero);
	if (!scratch)
		return 0;
	value_scratches.update(&tid, scratch);
	return value_scratches.lookup(&tid);
}

/* Root area but for its first word: the plan's registers, then its span of the stack. */
static __always_inline void value_roots(struct value_scratch *s, struct value_site *site, u64 sp)
{
	u32 count = site->registers, size = site->stack_bytes, at;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 16; i++) {
		u32 k = i;
		if (i >= count)
			break;
		value_opaque(k);
		k &= 15;
		*(u64 *)(s->blob + 8 + 8 * k) = s->registers[site->register_of[k] & (REGISTERS - 1)];
	}
	/* Read again: of what was counted with, the verifier knows too much. */
	at = 8 + *(volatile u8 *)&site->registers * 8;
	value_opaque(at);
	at &= 255;
	value_opaque(size);
	size &= VALUE_BYTES - 1;
	if (size && value_copy(s->blob + at, size, (void *)(sp + site->stack_offset)))
		s->status |= CAPTURE_STACK;
	s->used = (at + size + 7) & ~7u;
}

/* Reads what the plan wants at the site of s->hit and sends it: the event of the same hit carries the same time and
 * thread. Returns 0 when it was sent, negative when it was lost. */
static __always_inline int capture_values(struct pt_regs *ctx, struct value_scratch *s)
{
	u32 index = s->hit.event.site, size;
	struct value_site *site = value_sites.lookup(&index);

	if (!site)
		return -1;
	s->head = s->tail = s->elements = s->depth = s->status = s->start = 0;
	s->bias = hit_ip(ctx) - site->address;
	read_registers_of(&s->hit, s->registers, ctx, s->bias);
	value_roots(s, site, s->hit.sp);
	s->status |= s->hit.unread * CAPTURE_STACK;
	s->base = 0;
	s->ref = site->first_ref;
	s->refs = site->refs;
#pragma clang loop unroll(disable)
	ROUNDS (s, step, VALUE_STEPS)
		if (!value_step(s))
			break;
	if (s->refs || s->head != s->tail)
		s->status |= CAPTURE_FULL;
#if VALUE_REDACTED
	/* Elements whose references were not come to may hold what should have been erased. */
	if (s->refs && s->start)
		s->used = s->start;
#endif
	*(u64 *)s->blob = s->bias | s->status; /* the bias is a multiple of the page size */
	s->header.time_ns = s->hit.event.time_ns;
	s->header.tid = s->hit.event.tid;
	s->header.site = index;
	s->header.length = s->used;
	s->header.status = s->status;
	/* Ring records of whole 64-byte units, so that the drain can find them side by side. */
	size = s->used;
	value_opaque(size);
	size &= 2 * VALUE_BYTES - 1;
	size = ((size + sizeof(struct value_header) + 8 + 63) & ~63u) - 8;
	if (size > sizeof(struct value_header) + 2 * VALUE_BYTES)
		return -1;
	return values_output(s->hit.ring, &s->header, size);
}
