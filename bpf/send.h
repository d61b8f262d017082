/* Put events into the ring of this CPU, and count exactly what finds no room. */

BPF_F_TABLE("array", u32, u64, site_lost, SITES, 1024);

/* Counts events that are not sent. The site first: a reader that takes the ring's count first knows a site for every loss. */
static __always_inline void lose(struct ring_state *state, u32 site, u32 events)
{
	u64 *lost = site_lost.lookup(&site);

	if (lost)
		__sync_fetch_and_add(lost, events);
	__sync_fetch_and_add(&state->lost_events, events);
}

static __always_inline void send(u32 ring, struct ring_state *state, struct event *event)
{
	if (is_let_go(event->site, event->time_ns)) {
		count_idle(event->site);
		return;
	}
	event->sequence = ++state->sequence;
	if (ring_output(ring, state, event))
		lose(state, event->site, 1);
}
