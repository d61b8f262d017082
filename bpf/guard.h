/* Which hits count: none while the recording is closed, and none of functions that were let go.
 *
 * Sites are armed and disarmed one by one, and the end of a call may be told by the hit of another function's site. So
 * the recording opens once all of them are there, and closes before the first one goes: what a goroutine did between
 * the two is complete, and a call that was going on at either moment is just that.
 *
 * Letting functions go while the rest is recorded on is exact to the hit: record/guard.py decides, record/links.py acts.
 * First the functions' events end at one moment: what happened before it is sent, what happened later is not. Then a
 * link without their sites takes the place of the old one, so that their hits cost nothing any more. While both links
 * are there most hits come twice, and one of the two is dropped here.
 */

#define COOKIE_GENERATION(c) (((u32)((c) >> 38)) & 1)

/* Site -> first time at which its events are no longer wanted; 0: they are. Written ahead of that time. */
BPF_F_TABLE("array", u32, u64, let_go, SITES, 1024 /* BPF_F_MMAPABLE */);
/* Site -> when it counts while exits move: until a time, or from a time on (MOVES_HERE); 0: always. */
BPF_F_TABLE("array", u32, u64, moves, SITES, 1024 /* BPF_F_MMAPABLE */);
#define MOVES_HERE (1ull << 63)
/* Site -> hits without an event: with events, losses and hits in vain they make up all hits, which is what a probe costs. */
BPF_F_TABLE("array", u32, u64, idle_hits, SITES, 1024);
/* Site -> hits on an outcome of the jump that tells nothing: at a RET there would have been none. */
BPF_F_TABLE("array", u32, u64, vain_hits, SITES, 1024);
/* Thread -> the last hit that a newer link took: epoch << 32 | site. */
BPF_F_TABLE("hash", u32, u64, taken, 131072, 1 /* BPF_F_NO_PREALLOC */);

static __always_inline int is_let_go(u32 site, u64 time_ns)
{
	struct control *now = control_now();
	u64 *since;

	if (!now || !now->letting_go)
		return 0;
	since = let_go.lookup(&site);
	return since && *since && time_ns >= *since;
}

/* A return is told at one of two sites that both are armed: at the old one before a moment, at the new one after it. Only
 * one that the moment finds on its way from the one to the other is told twice. */
static __always_inline int is_elsewhere(struct control *now, u32 site, u64 time_ns)
{
	u64 *moment;

	if (!now->moving)
		return 0;
	moment = moves.lookup(&site);
	if (!moment || !*moment)
		return 0;
	return (*moment & MOVES_HERE) ? time_ns < (*moment & ~MOVES_HERE) : time_ns >= *moment;
}

static __always_inline void count_idle(u32 site)
{
	u64 *hits = idle_hits.lookup(&site);

	if (hits)
		__sync_fetch_and_add(hits, 1);
}

static __always_inline void count_vain(u32 site)
{
	u64 *hits = vain_hits.lookup(&site);

	if (hits)
		__sync_fetch_and_add(hits, 1);
}

/* Is this hit another link's? The kernel runs the newest link first (consumer_add() in kernel/events/uprobes.c puts it at
 * the head of the list, Linux 6.6 to 6.18): it takes the hit and leaves a mark for the older link, which runs next in
 * the same hit of the same thread. Sites that have only one of the two are taken by it, so nothing is missed while the
 * kernel adds and removes sites one by one. The recorder tests the order before it relies on it.
 */
static __always_inline int superseded(struct control *now, u32 generation, u32 site)
{
	u64 mark, *left;
	u32 tid;

	if (!now->epoch)
		return 0;
	tid = bpf_get_current_pid_tgid();
	mark = now->epoch << 32 | site;
	if (generation == now->young) {
		taken.update(&tid, &mark);
		return 0;
	}
	left = taken.lookup(&tid);
	if (!left || *left != mark)
		return 0;
	taken.delete(&tid);
	return 1;
}
