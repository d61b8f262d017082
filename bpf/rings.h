/* A ring of events for each CPU, in one array that the recorder maps; and another ring for values.
 *
 * The kernel's own ring buffer takes 40 ns more an event: two calls, interrupts off, a lock and an atomic exchange, for
 * records of any size and for consumers who want to be woken. Events have one size, and the recorder comes by itself.
 */

/* What every hit looks at, in one place: pages that a hit has to find again cost more than what is done with them. The
 * first element is the control, the others are the rings': for the verifier each is the start of an element. */
union shared {
	struct control control;
	struct ring_state ring;
};

BPF_F_TABLE("array", u32, union shared, shared, 1 + RINGS, 1024 /* BPF_F_MMAPABLE */);
/* Ring after ring, EVENT_SLOTS of each: a power of two. */
BPF_F_TABLE("array", u32, struct event_slot, event_slots, RINGS * EVENT_SLOTS, 1024 /* BPF_F_MMAPABLE */);

/* Room for programs that find a slot free at the same time and are preempted, all of them, before they take one. */
#define AT_ONCE (EVENT_SLOTS > 512 ? 64 : EVENT_SLOTS / 8)

static __always_inline struct control *control_now(void)
{
	u32 first = 0;

	return (struct control *)shared.lookup(&first);
}

static __always_inline struct ring_state *ring_state_of(u32 ring)
{
	u32 index = 1 + ring;

	return (struct ring_state *)shared.lookup(&index);
}

/* Atomic operations that return what was there (BPF_FETCH, Linux 5.12), full barriers. In bytes, since BCC's assembler may
 * be that of a processor without them: the name of the register that the compiler chose makes the name of its number. */
#define ATOMIC_FETCH(at, value, operation)                                                                               \
	asm volatile(".set number_r0, 0; .set number_r1, 1; .set number_r2, 2; .set number_r3, 3; .set number_r4, 4; "   \
		     ".set number_r5, 5; .set number_r6, 6; .set number_r7, 7; .set number_r8, 8; .set number_r9, 9; "   \
		     ".byte 0xdb; .byte number_%0 << 4 | number_%1; .short 0; .long " operation                          \
		     : "+r"(value) : "r"(at) : "memory")

static __always_inline u64 fetch_add(u64 *at, u64 value)
{
	ATOMIC_FETCH(at, value, "0x01" /* BPF_ADD | BPF_FETCH */);
	return value;
}

/* A store that nobody sees before those that precede it. */
static __always_inline void publish(u64 *at, u64 value)
{
#if STORES_IN_ORDER
	asm volatile("" ::: "memory");
	*(volatile u64 *)at = value;
#else
	ATOMIC_FETCH(at, value, "0xe1" /* BPF_XCHG */);
#endif
}

/* 0, or negative when the ring is full. A program that is preempted in here holds up the recorder at its slot, not the
 * programs that run meanwhile. */
static __always_inline int ring_output(u32 number, struct ring_state *state, struct event *event)
{
	struct event_slot *slot;
	u64 turn;
	u32 index;

	if (*(volatile u64 *)&state->reserved - *(volatile u64 *)&state->consumed >= EVENT_SLOTS - AT_ONCE)
		return -1;
	turn = fetch_add(&state->reserved, 1);
	index = number * EVENT_SLOTS + (turn & (EVENT_SLOTS - 1));
	slot = event_slots.lookup(&index);
	if (!slot)
		return -1; /* never */
	slot->event = *event;
	publish(&slot->turn, turn + 1);
	return 0;
}

#if VALUES
/* The recorder makes these and puts them into the array: a program may name no more than 64 maps (MAX_USED_MAPS,
 * include/linux/bpf_verifier.h, Linux 6.6 to 6.18), and machines have more CPUs. */
BPF_RINGBUF_OUTPUT(ring_model, 1); /* what the array holds, for the verifier */
BPF_ARRAY_OF_MAPS(value_rings, "ring_model", RINGS);

static __always_inline int values_output(u32 number, void *data, u32 size)
{
	int index = number;
	void *ring = value_rings.lookup(&index);

	return ring ? bpf_ringbuf_output(ring, data, size, BPF_RB_NO_WAKEUP) : -1;
}
#endif
