/* --min: an entry waits here until its exit shows that the call was long enough; short calls cost no ring space.
 *
 * A caller lasts at least as long as what it calls, so nesting stays exact. Frames that end without an exit (panic,
 * Goexit, the end of the recording) keep their entry: it is sent when its place is taken, or by the recorder at the end.
 */

BPF_F_TABLE("hash", struct frame_key, struct event, deferred, DEFERRED_FRAMES, 0);

/* Returns 0 when the event is to be sent now, 1 when it is to wait or to be forgotten. */
static __always_inline int defer(u32 ring, struct ring_state *state, struct event *event, u32 role)
{
	struct frame_key key = {};
	struct event *waiting, entry;
	int wait = 0;

	if (role >= ROLE_RECOVERY)
		return 0;
	frame_key_of(&key, event);
	waiting = deferred.lookup(&key);
	if (waiting)
		entry = *waiting;
	if (role == ROLE_EXIT) {
		if (!waiting)
			return 0;
		deferred.delete(&key);
		wait = event->time_ns - entry.time_ns < MIN_NS;
		if (!wait) {
			send(ring, state, &entry);
			return 0;
		}
		count_idle(entry.site);
		count_idle(event->site);
		return 1;
	}
	/* A frame that still waits where a new one begins ended without an exit. */
	if (waiting)
		send(ring, state, &entry);
	if (role == ROLE_POINT) {
		if (waiting)
			deferred.delete(&key);
		count_idle(event->site);
		return 1; /* lasts no time at all */
	}
	return deferred.update(&key, event) == 0;
}
