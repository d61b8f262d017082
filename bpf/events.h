/* Wire structs between calls.c and record/rings.py; the numpy dtypes there mirror them field by field. */

/* One hit of a site. 40 bytes, so a ring row with its 8-byte header is 48. */
struct event {
	u64 time_ns;      /* CLOCK_MONOTONIC */
	u64 goid;         /* the user goroutine, also while it runs on the system stack; 0: none */
	u32 depth;        /* bytes: g.stack.hi - SP at function entry; always a multiple of 8, the low bits are EVENT_* */
	u32 site;         /* index in the plan */
	s32 caller_delta; /* entry: return address - address of the probed instruction; NO_CALLER: does not fit; other roles 0 */
	u32 tid;
	u32 pid;          /* thread group */
	u32 sequence;     /* per CPU, also counts events that found no room */
};

#define EVENT_STACK_MASK 3u /* 0 own stack of the goroutine, 1 g0 of the thread, 2 gsignal of the thread */
#define EVENT_VALUES 4u     /* a values record with the same tid and time was tried */
#define NO_CALLER (-2147483647 - 1)
