/* The name of an open frame, the same at its entry and at its exit. */

struct frame_key {
	u64 stack; /* goid, or bit 63 and thread and kind for system stacks */
	u32 pid;
	u32 depth;
};

static __always_inline void frame_key_of(struct frame_key *key, struct event *event)
{
	u32 kind = event->depth & EVENT_STACK_MASK;

	/* Without a jump, for the verifier's sake. */
	u64 other = -(u64)((kind | kind >> 1) & 1);

	value_opaque(other);
	key->stack = ((1ull << 63 | (u64)event->tid << 2 | kind) & other) | (event->goid & ~other);
	key->pid = event->pid;
	key->depth = event->depth & ~7u;
}
