/* One program for every site: what a hit means is in its cookie, so that any mix of sites is one link.
 *
 * Macros from the generator: the offsets of goroutine.h, RINGS, SITES, FACT_PAGES, and the switches PID_FILTER (0 none,
 * 1 only listed, 2 all but listed), BY_PLACE, GATED, DEFERRED, VALUES, CONDITION and CHAINED (0/1) with their files before
 * this one.
 */

/* The cookie, low bits first; record/attach.py packs it. */
#define COOKIE_SITE(c) ((u32)(c) & 0xffffff)
#define COOKIE_ROLE(c) (((u32)((c) >> 24)) & 15)
#define COOKIE_ROOT(c) (((u32)((c) >> 28)) & 1)
#define COOKIE_VALUES(c) (((u32)((c) >> 29)) & 1)
#define COOKIE_CONDITION(c) (((u32)((c) >> 30)) & 15)
#define COOKIE_EDGE(c) (((u32)((c) >> 34)) & 3)
#define COOKIE_TWIN(c) (((u32)((c) >> 36)) & 3) /* edges on which an entry is an exit too: that of site + 1 */
#define COOKIE_TELLS_MORE(c) (((u32)((c) >> 39)) & 1) /* than its own event: see chain.h */
#define COOKIE_SP_WORDS(c) (((u32)((c) >> 40)) & 0xffffff)
#define EDGE_FALLTHROUGH 1
#define EDGE_TAKEN 2
#define EDGE_ALWAYS 3

/* First event of a goroutine. */
struct goroutine_fact {
	u64 time_ns;
	u64 goid;
	u64 parent;  /* 0 before Go 1.21 */
	u64 gopc;    /* return address of the go statement, as loaded */
	u64 startpc; /* as loaded */
	u64 ip;      /* of the hit: with the site's linked address it gives the load bias */
	u64 current; /* 1: its thread works for it, as far as the offsets are right */
	u32 pid;
	u32 site;
};

BPF_F_TABLE("hash", struct goroutine_key, u64, goroutines, 131072, 0);
BPF_RINGBUF_OUTPUT(facts, FACT_PAGES);
#if PID_FILTER
BPF_F_TABLE("hash", u32, u32, pids, 16384, 0);
#endif

/* Where a hash is asked at every hit, a word that needs no call answers most of the time: each return from a function of
 * the kernel is a mispredicted one where return thunks guard it (SRSO, retbleed), and a hash takes four of them. */

static __always_inline int is_stranger(struct control *now, u32 pid)
{
#if PID_FILTER
	u64 only = now->only_pid;
	int listed = only == MANY_PIDS ? pids.lookup(&pid) != 0 : only == pid;

	return listed != (PID_FILTER == 1);
#else
	return 0;
#endif
}

#define SEEN_SLOTS 4096
#define SEEN_GOID_BITS 42

/* Some of the goroutines in the table above: goid << 22 | pid, which is below 2^22 (PID_MAX_LIMIT, include/linux/threads.h).
 * One word, so that nobody reads the goid of one and the pid of another. */
BPF_F_TABLE("array", u32, u64, seen, SEEN_SLOTS, 0);

static __always_inline u64 *seen_slot(struct goroutine_key *key)
{
	u32 index = (key->goid ^ key->pid << 5) & (SEEN_SLOTS - 1);

	return seen.lookup(&index);
}

/* 0: of no goroutine that can be in the array. */
static __always_inline u64 seen_word(struct goroutine_key *key)
{
	return key->goid >> SEEN_GOID_BITS ? 0 : key->goid << (64 - SEEN_GOID_BITS) | key->pid;
}

static __always_inline void forget_goroutine(struct goroutine_key *key)
{
	u64 *slot = seen_slot(key);

	goroutines.delete(key);
	if (slot && *slot == seen_word(key))
		*slot = 0;
}

/* A goroutine that was never seen announces itself; until the announcement found room it counts as not seen. */
static __always_inline void announce(struct pt_regs *ctx, struct goroutine_key *key, u64 g, u64 now, u32 site)
{
	struct goroutine_fact fact = {};
	u64 *slot = seen_slot(key), word = seen_word(key);

	if (!slot || (word && *slot == word))
		return;
	if (goroutines.lookup(key)) {
		*slot = word;
		return;
	}
	if (goroutines.update(key, &now)) {
		struct ring_state *first = ring_state_of(0);
		if (first)
			first->full_goroutines = 1;
		return;
	}
	fact.time_ns = now;
	fact.goid = key->goid;
	fact.pid = key->pid;
	fact.site = site;
	fact.ip = hit_ip(ctx);
#ifdef G_PARENT
	fact.parent = user_word(g + G_PARENT);
#endif
	fact.gopc = user_word(g + G_GOPC);
	fact.startpc = user_word(g + G_STARTPC);
	fact.current = user_word(user_word(g + G_M) + M_CURG) == g;
	if (facts.ringbuf_output(&fact, sizeof(fact), BPF_RB_NO_WAKEUP))
		goroutines.delete(key);
}

/* A program image starts: what is known of goroutines of this pid belongs to the image before it (a process that
 * executed itself, or a number given out again). Goids begin anew; the recorder forgets those beyond these. */
static __always_inline void forget_image(struct goroutine_key *of)
{
	struct goroutine_key key = { .pid = of->pid };

	for (u32 goid = 1; goid <= 32; goid++) {
		key.goid = goid;
		forget_goroutine(&key);
#if GATED
		gates.delete(&key);
#endif
	}
}

/* Does a hit count that is wanted on some outcomes of a conditional jump only? */
static __always_inline int edge_matches(struct pt_regs *ctx, u64 cookie, u32 edge)
{
	if (edge == EDGE_ALWAYS)
		return 1;
	return edge == (branch_taken(ctx, COOKIE_CONDITION(cookie)) ? EDGE_TAKEN : EDGE_FALLTHROUGH);
}

/* Process in the upper half and thread, by the numbers that the recorder knows them by. 0: none, a process of another pid
 * namespace while the recorder is in one of its own (PID_NS_INODE). */
static __always_inline u64 hit_ids(void)
{
#ifdef PID_NS_INODE
	struct bpf_pidns_info ids = {};

	if (bpf_get_ns_current_pid_tgid(PID_NS_DEVICE, PID_NS_INODE, &ids, sizeof(ids)))
		return 0;
	return (u64)ids.tgid << 32 | ids.pid;
#else
	return bpf_get_current_pid_tgid();
#endif
}

/* SP at the entry of the function that a hit is in. */
static __always_inline u64 entry_sp(struct pt_regs *ctx, u64 cookie)
{
	return hit_sp(ctx) + 8 * COOKIE_SP_WORDS(cookie);
}

/* Returns 0 when the hit means nothing to the recording. */
static __always_inline int take_hit(struct pt_regs *ctx, u64 cookie, struct control *now)
{
	u64 pid_tid = hit_ids();
	u32 role = COOKIE_ROLE(cookie), site = COOKIE_SITE(cookie);
	u32 ring = bpf_get_smp_processor_id() % RINGS;
	struct goroutine found = {};
	struct goroutine_key key = {};
	struct event event = {};
	struct ring_state *state;
	u64 depth;
#if CONDITION
	struct condition_scratch *test;
#endif

	if (!pid_tid)
		return 0;
	event.pid = pid_tid >> 32;
	event.tid = pid_tid;
	if (is_stranger(now, event.pid))
		return 0;
	state = ring_state_of(ring);
	if (!state)
		return 0;
	event.time_ns = bpf_ktime_get_ns();
	if (is_elsewhere(now, site, event.time_ns))
		return 0;
	if (find_goroutine(ctx, &found)) {
		__sync_fetch_and_add(&state->no_goroutine, 1);
		return 0;
	}
	depth = found.hi - entry_sp(ctx, cookie) + FRAME_ABOVE_SP;
	key.goid = found.goid;
	key.pid = event.pid;
	if (role == ROLE_RECOVERY) {
		/* On g0, about to resume the frame that recovered: its SP waits in the user goroutine's g.sched. */
		if (!found.g)
			return 0;
		depth = user_word(found.g + G_STACK_HI) - user_word(found.g + G_SCHED_SP);
		found.stack = 0;
	}
#if GATED
	if (!gate_passes(&key, role, COOKIE_ROOT(cookie), depth, found.stack, state))
		return 0;
#endif
	if (role == ROLE_START) {
		forget_image(&key);
	} else if (role >= ROLE_RECOVERY) {
#if CONDITION && CONDITION_EXITS
		test = condition_scratch_of(event.tid);
		if (test)
			condition_over(test, role, key.goid, event.pid, depth);
#endif
		/* Of interest for goroutines that have frames; once the table was full nobody knows which do. */
		struct ring_state *first = ring_state_of(0);
		if (!goroutines.lookup(&key) && first && !first->full_goroutines)
			return 0;
		if (role == ROLE_FAULT && found.stack)
			return 0;
		if (role == ROLE_GOEXIT)
			forget_goroutine(&key);
	}
	event.goid = found.goid;
	event.depth = (u32)depth & ~7u;
	event.depth |= found.stack;
	event.site = site;
#if CONDITION
	/* Before anything is sent: a call that is not wanted costs no room. */
	test = condition_scratch_of(event.tid);
	if (!test) {
		/* Whether the condition holds, nobody knows. */
		if (role < ROLE_RECOVERY)
			lose(state, site, 1);
		return 0;
	}
	test->hit.event = event;
	test->hit.key = key;
	test->hit.cookie = cookie;
	test->hit.depth = depth;
	test->hit.sp = entry_sp(ctx, cookie);
	test->hit.g = found.g;
	test->hit.ring = ring;
	test->hit.taken = branch_taken(ctx, COOKIE_CONDITION(cookie));
	test->verdict = condition_admits(ctx, test, role);
	event = test->hit.event;
	key = test->hit.key;
	cookie = test->hit.cookie;
	depth = test->hit.depth;
	found.g = test->hit.g;
	ring = test->hit.ring;
	role = COOKIE_ROLE(cookie);
	site = COOKIE_SITE(cookie);
	state = ring_state_of(ring);
	if (!state)
		return 0;
	if (test->verdict == REJECTED) {
		if (test->frame.waits)
			count_idle(test->frame.event.site);
		goto chained;
	}
	if (role < ROLE_RECOVERY && event.goid && test->verdict != WAITS)
		announce(ctx, &key, found.g, test->frame.waits ? test->frame.event.time_ns : event.time_ns, site);
#else
	if (role < ROLE_RECOVERY && event.goid)
		announce(ctx, &key, found.g, event.time_ns, site);
#endif
	if (role == ROLE_ENTRY || role == ROLE_POINT || role == ROLE_FAULT) {
		s64 delta = return_address(ctx, entry_sp(ctx, cookie)) - hit_ip(ctx);
		/* NO_CALLER when it does not fit. Without a jump, and written as the word it was read in: ways that differ in
		 * what the verifier knows are walked one by one through all that follows. */
		u64 over = (u64)(delta + (1ll << 31)) >> 32;
		over = -((over | -over) >> 63);
		delta = (delta & ~over) | ((u32)NO_CALLER & over);
		*(volatile u64 *)&event.caller_delta = (u32)delta | (u64)event.tid << 32;
	}
#if VALUES
	/* Before the event: who sees the event finds its values, or they are lost. */
	if (COOKIE_VALUES(cookie)) {
		struct value_scratch *scratch = value_scratch_of(event.tid);
		int failed = -1;

		event.depth |= EVENT_VALUES;
		if (scratch) {
			struct kept_hit *kept = &scratch->hit;

			kept->event = event;
			kept->key = key;
			kept->cookie = cookie;
			kept->depth = depth;
			kept->sp = entry_sp(ctx, cookie);
			kept->ring = ring;
			kept->taken = branch_taken(ctx, COOKIE_CONDITION(cookie));
			failed = capture_values(ctx, scratch);
			event = kept->event;
			key = kept->key;
			cookie = kept->cookie;
			depth = kept->depth;
			ring = kept->ring;
			role = COOKIE_ROLE(cookie);
			site = COOKIE_SITE(cookie);
			state = ring_state_of(ring);
			if (!state)
				return 0;
#if CONDITION
			/* Found again rather than kept, so that the machine has its registers for itself. */
			test = condition_scratch_of(event.tid);
			if (!test)
				return 0;
#endif
		}
		if (failed < 0)
			__sync_fetch_and_add(&state->lost_values, 1);
	}
#endif
#if CONDITION
	if (role == ROLE_ENTRY) {
		if (!condition_remembers(test, &event, state)) {
			test->verdict = REJECTED;
			goto chained;
		}
		if (test->verdict == WAITS)
			return 1;
	}
	if (role == ROLE_EXIT && test->frame.waits) {
#if DEFERRED
		if (!defer(ring, state, &test->frame.event, ROLE_ENTRY))
#endif
			send(ring, state, &test->frame.event);
	}
#endif
#if DEFERRED
	if (!defer(ring, state, &event, role))
#endif
		send(ring, state, &event);
#if CONDITION
chained:
#endif
#if CHAINED
	if (COOKIE_TELLS_MORE(cookie)) {
		u32 twin = COOKIE_TWIN(cookie);
		tell_chained(ctx, role, COOKIE_ROOT(cookie), twin && edge_matches(ctx, cookie, twin),
			     entry_sp(ctx, cookie), depth, &key, ring, state, &event);
	}
#endif
#if CONDITION
	return test->verdict == ADMITTED;
#else
	return 1;
#endif
}

#if BY_PLACE
/* A hit that cannot be told from others is left out, and counted with those outside of goroutines. */
static __always_inline void leave_out(struct control *now, u32 pid)
{
	struct ring_state *state = ring_state_of(bpf_get_smp_processor_id() % RINGS);

	if (state && !is_stranger(now, pid))
		__sync_fetch_and_add(&state->no_goroutine, 1);
}
#endif

#if !SLEEPABLE
BPF_PROG_ARRAY(nowhere, 1);
#endif

int hit(struct pt_regs *ctx)
{
#if BY_PLACE
	u64 cookie = place_cookie(ctx);
#else
	u64 cookie = bpf_get_attach_cookie(ctx);
#endif
	struct control *now = control_now();

#if BY_PLACE
	if (!cookie) {
		if (now && !now->closed)
			leave_out(now, hit_ids() >> 32);
		return 0;
	}
#endif
	if (!now || superseded(now, COOKIE_GENERATION(cookie), COOKIE_SITE(cookie)))
		return 0;
	if (!edge_matches(ctx, cookie, COOKIE_EDGE(cookie))) {
		count_vain(COOKIE_SITE(cookie));
		return 0;
	}
	if (now->closed) {
#if !SLEEPABLE
		/* Never happens, but a program that might call another one gets no stack of its own (check_max_stack_depth()
		 * in kernel/bpf/verifier.c, from Linux 6.13 on). What is read from the target into that memory is checked at
		 * length (__check_object_size() in mm/usercopy.c); for the kernel's own stack a glance is enough. */
		if (now->closed > 1)
			nowhere.call(ctx, 0);
#endif
		count_idle(COOKIE_SITE(cookie));
	} else if (!take_hit(ctx, cookie, now)) {
		count_idle(COOKIE_SITE(cookie));
	}
	return 0;
}
