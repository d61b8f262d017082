/* Exits that another site's hit tells: of the function that was entered by the same hit (twin), and of callers that do
 * nothing more than return once a callee has returned (chain). Each is an ordinary event with the time of the hit.
 */

#define CHAIN_FRAMES 16 /* the planner makes no cascade as long as this */
#define CHAIN_ROOT 1u

/* What ends with a call that returns to a certain address. */
struct chain {
	u32 site;
	u32 frame; /* bytes between SP there and SP at the caller's entry, a multiple of 8; bit 0: the caller is a root */
};

/* By return address, as linked. */
BPF_F_TABLE("hash", u64, struct chain, chains, SITES, 1 /* BPF_F_NO_PREALLOC */);
/* Sites after whose event a chain is looked for: their address as linked; 0: none. */
BPF_F_TABLE("array", u32, u64, chain_origins, SITES, 1024 /* BPF_F_MMAPABLE */);

static __always_inline void tell_exit(struct goroutine_key *key, int root, u64 depth, u32 ring,
				      struct ring_state *state, struct event *event)
{
#if GATED
	if (!gate_passes(key, ROLE_EXIT, root, depth, event->depth & EVENT_STACK_MASK, state))
		return;
#endif
#if CONDITION
	if (!condition_ends(event))
		return;
#endif
#if DEFERRED
	if (defer(ring, state, event, ROLE_EXIT))
		return;
#endif
	send(ring, state, event);
}

/* To be called after the hit's own event; `sp` is where the return address of the frame lies, at `depth`. */
static __always_inline void tell_chained(struct pt_regs *ctx, u32 role, int root, u32 twin, u64 sp, u64 depth,
					 struct goroutine_key *key, u32 ring, struct ring_state *state,
					 struct event *event)
{
	u64 bias = 0, pc = 0, *origin;
	struct chain *chain;
	u32 from;

	event->caller_delta = 0;
	event->depth &= ~EVENT_VALUES;
	if (role == ROLE_ENTRY) {
		if (!twin)
			return;
		event->site++;
		tell_exit(key, root, depth, ring, state, event);
	}
#pragma clang loop unroll(disable)
	for (int hop = 0; hop < CHAIN_FRAMES; hop++) {
		from = event->site;
		origin = chain_origins.lookup(&from);
		if (!origin || !*origin)
			return;
		if (hop == 0)
			bias = hit_ip(ctx) - *origin;
		if (read_user(&pc, sizeof(pc), (void *)sp)) {
			/* Of an exit that may be there nothing is known; the gap in the sequence says when. */
			state->sequence++;
			__sync_fetch_and_add(&state->lost_events, 1);
			return;
		}
		pc -= bias;
		chain = chains.lookup(&pc);
		if (!chain)
			return;
		from = chain->frame;
		sp += 8 + (from & ~7u);
		depth -= 8 + (from & ~7u);
		event->depth = ((u32)depth & ~7u) | (event->depth & EVENT_STACK_MASK);
		event->site = chain->site;
		tell_exit(key, from & CHAIN_ROOT, depth, ring, state, event);
	}
}
