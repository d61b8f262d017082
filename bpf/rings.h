/* A ring for each CPU, and another one for values. The recorder makes them and puts them into these arrays: a program may
 * name no more than 64 maps (MAX_USED_MAPS, include/linux/bpf_verifier.h, Linux 6.6 to 6.18), and machines have more CPUs.
 */

BPF_RINGBUF_OUTPUT(ring_model, 1); /* what the arrays hold, for the verifier */
BPF_ARRAY_OF_MAPS(event_rings, "ring_model", RINGS);
#if VALUES
BPF_ARRAY_OF_MAPS(value_rings, "ring_model", RINGS);
#endif

/* 0, or negative when the ring is full. */
static __always_inline int ring_output(u32 number, struct event *event)
{
	int index = number;
	void *ring = event_rings.lookup(&index);

	return ring ? bpf_ringbuf_output(ring, event, sizeof(*event), BPF_RB_NO_WAKEUP) : -1;
}

#if VALUES
static __always_inline int values_output(u32 number, void *data, u32 size)
{
	int index = number;
	void *ring = value_rings.lookup(&index);

	return ring ? bpf_ringbuf_output(ring, data, size, BPF_RB_NO_WAKEUP) : -1;
}
#endif
