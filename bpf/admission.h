/* Which calls a condition lets in: condition.h finds the values, the generated condition_holds() says what they mean. */

/* What the condition says of the hit in s->hit: REJECTED, ADMITTED or WAITS. */
static __always_inline int condition_verdict(struct pt_regs *ctx, struct condition_scratch *s)
{
	u32 index = s->hit.event.site;
	struct condition_site *site = condition_sites.lookup(&index);
	struct condition_load *load;
	u64 truth;

	if (!site || !site->used)
		return REJECTED;
	s->bias = hit_ip(ctx) - site->address;
	s->truths |= site->truths;
	read_registers_of(&s->hit, s->registers, ctx, s->bias);
#pragma clang loop unroll(disable)
	ROUNDS (s, i, CONDITION_VALUES) {
		u32 at = i;

		index = site->first + i;
		load = condition_loads.lookup(&index);
		value_opaque(at);
		if (at >= CONDITION_VALUES)
			break;
		if (load)
			condition_read(s, load, &s->value[at]);
	}
	truth = condition_holds(s);
	if (truth)
		return truth & 1 ? ADMITTED : REJECTED;
	return site->waits ? WAITS : REJECTED;
}

/* Forgets the frames of the stack in s->key that lie at its depth or deeper: they are over, whether or not they had an
 * exit. What many rounds do not reach is forgotten by a later hit of the stack. */
static __always_inline void condition_unwind(struct condition_scratch *s)
{
	struct condition_frame *frame;
	u32 limit = s->key.depth;
	u64 *innermost;

	s->stack.stack = s->key.stack;
	s->stack.pid = s->key.pid;
	ROUNDS (s, i, CONDITION_UNWIND) {
		innermost = condition_stacks.lookup(&s->stack);
		if (!innermost || *innermost < limit)
			break;
		s->key.depth = *innermost;
		frame = condition_frames.lookup(&s->key);
		*innermost = frame ? frame->above : 0;
		condition_frames.delete(&s->key);
		if (!*innermost)
			condition_stacks.delete(&s->stack);
	}
	s->key.depth = limit;
}

/* A hit that tells of frames without naming them: a recovery ends what is deeper than the frame that recovered, the end
 * of a goroutine all. */
static __always_inline void condition_over(struct condition_scratch *s, u32 role, u64 goid, u32 pid, u64 depth)
{
	if (role != ROLE_RECOVERY && role != ROLE_GOEXIT)
		return;
	s->key.stack = goid;
	s->key.pid = pid;
	s->key.depth = role == ROLE_RECOVERY ? (depth & ~7u) + 8 : 0;
	condition_unwind(s);
}

/* Whether the entry, exit or point in s->hit counts; leaves of an exit what its entry left in s->frame. */
static __always_inline int condition_admits(struct pt_regs *ctx, struct condition_scratch *s, u32 role)
{
	struct condition_frame *found;
	int verdict;

	s->truths = 0;
	s->frame.waits = 0;
	if (role >= ROLE_RECOVERY)
		return ADMITTED;
	if (role == ROLE_EXIT) {
		frame_key_of(&s->key, &s->hit.event);
		found = condition_frames.lookup(&s->key);
		if (!found)
			return REJECTED;
		s->frame = *found;
		s->truths = found->truths;
		condition_unwind(s);
		if (!s->frame.waits)
			return ADMITTED;
	}
	verdict = condition_verdict(ctx, s);
#if CONDITION_EXITS
	if (role != ROLE_EXIT) {
		/* Other frames were here that ended without an exit. */
		frame_key_of(&s->key, &s->hit.event);
		condition_unwind(s);
	}
#endif
	return verdict;
}

/* Remembers the frame that an entry begins, so that its exit counts; 0 when there is no room: then both are lost. */
static __always_inline int condition_remembers(struct condition_scratch *s, struct event *event,
					       struct ring_state *state)
{
#if CONDITION_EXITS
	u64 *innermost, depth;
	s64 failed;

	frame_key_of(&s->key, event);
	s->stack.stack = s->key.stack;
	s->stack.pid = s->key.pid;
	innermost = condition_stacks.lookup(&s->stack);
	s->frame.event = *event;
	s->frame.truths = s->truths;
	s->frame.waits = s->verdict == WAITS;
	s->frame.above = innermost ? *innermost : 0;
	failed = condition_frames.update(&s->key, &s->frame);
	if (!failed) {
		depth = s->key.depth;
		failed = condition_stacks.update(&s->stack, &depth);
		if (failed)
			condition_frames.delete(&s->key);
	}
	if (failed) {
		lose(state, event->site, 2);
		return 0;
	}
#endif
	return 1;
}

/* Whether an exit that another site's hit tells is that of a frame that was let in. */
static __always_inline int condition_ends(struct event *event)
{
	struct condition_stack stack = {};
	struct frame_key key = {};
	struct condition_frame *found;
	u64 *innermost;
	u32 above;

	frame_key_of(&key, event);
	found = condition_frames.lookup(&key);
	if (!found || found->waits)
		return 0;
	above = found->above;
	condition_frames.delete(&key);
	/* Of what is deeper, all is over: a callee has just returned. */
	stack.stack = key.stack;
	stack.pid = key.pid;
	innermost = condition_stacks.lookup(&stack);
	if (innermost && above)
		*innermost = above;
	else if (innermost)
		condition_stacks.delete(&stack);
	return 1;
}
