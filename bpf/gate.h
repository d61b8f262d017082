/* ROOT: only what runs inside a call of a root function is recorded, exact to the call. */

/* Depth of the outermost open ROOT frame of a goroutine. */
BPF_F_TABLE("hash", struct goroutine_key, u64, gates, 131072, 0);

/* Does this hit lie inside a call of a ROOT? Opens and closes the gate on the way. A gate whose frame died of a panic is
 * found stale by depth, and is closed by the recovery before any later call could be mistaken for being inside. */
static __always_inline int gate_passes(struct goroutine_key *key, u32 role, int root, u64 depth, u32 stack,
				       struct ring_state *state)
{
	u64 *gate = gates.lookup(key);
	int inside = gate != 0;

	if (role == ROLE_START)
		return 1;
	if (stack != 0) /* runs for the goroutine, on another stack: its depth says nothing about the gate */
		return inside && role <= ROLE_POINT;
	if (role == ROLE_GOEXIT || role == ROLE_FATAL || role == ROLE_RECOVERY) {
		if (inside && (role != ROLE_RECOVERY || *gate > depth))
			gates.delete(key);
		return inside;
	}
	if (inside && depth > *gate)
		return 1;
	/* At the gate's own depth or above it: the gate's frame ends here or is gone already. */
	if (inside && role == ROLE_EXIT) {
		int own = root && depth == *gate;
		gates.delete(key);
		return own;
	}
	if (role == ROLE_ENTRY && root) {
		if (gates.update(key, &depth))
			__sync_fetch_and_add(&state->full_gates, 1);
		return 1;
	}
	if (inside)
		gates.delete(key);
	return role == ROLE_POINT && root;
}
