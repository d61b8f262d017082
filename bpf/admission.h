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
	s->bias = ctx->ip - site->address;
	s->truths |= site->truths;
	read_registers(s->registers, ctx, s->hit.sp);
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
		condition_frames.delete(&s->key);
		if (!s->frame.waits)
			return ADMITTED;
	}
	verdict = condition_verdict(ctx, s);
#if CONDITION_EXITS
	if (role != ROLE_EXIT && verdict != WAITS) {
		/* Another frame was here that ended without an exit. */
		frame_key_of(&s->key, &s->hit.event);
		condition_frames.delete(&s->key);
	}
#endif
	return verdict;
}

/* Remembers the frame that an entry begins, so that its exit counts; 0 when there is no room: then both are lost. */
static __always_inline int condition_remembers(struct condition_scratch *s, struct event *event,
					       struct ring_state *state)
{
#if CONDITION_EXITS
	u32 site = event->site;
	u64 *lost;

	frame_key_of(&s->key, event);
	s->frame.event = *event;
	s->frame.truths = s->truths;
	s->frame.waits = s->verdict == WAITS;
	if (condition_frames.update(&s->key, &s->frame)) {
		lost = site_lost.lookup(&site);
		if (lost)
			__sync_fetch_and_add(lost, 2);
		__sync_fetch_and_add(&state->lost_events, 2);
		return 0;
	}
#endif
	return 1;
}

/* Whether an exit that another site's hit tells is that of a frame that was let in. */
static __always_inline int condition_ends(struct event *event)
{
	struct frame_key key = {};
	struct condition_frame *found;

	frame_key_of(&key, event);
	found = condition_frames.lookup(&key);
	if (!found || found->waits)
		return 0;
	condition_frames.delete(&key);
	return 1;
}
