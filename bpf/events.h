/* Wire structs between the programs and record/rings.py, whose numpy dtypes mirror them field by field; and what the
 * parts of the program share. */

#define ROLE_ENTRY 1
#define ROLE_EXIT 2
#define ROLE_POINT 3
#define ROLE_RECOVERY 4
#define ROLE_GOEXIT 5
#define ROLE_FATAL 6
#define ROLE_START 7
#define ROLE_FAULT 8

/* One hit of a site. 40 bytes, so a slot of a ring is 48. */
struct event {
	u64 time_ns;      /* CLOCK_MONOTONIC */
	u64 goid;         /* the user goroutine, also while it runs on the system stack; 0: none */
	u32 depth;        /* bytes: g.stack.hi - SP at function entry (FRAME_ABOVE_SP); always a multiple of 8, the low bits are EVENT_* */
	u32 site;         /* index in the plan */
	s32 caller_delta; /* entry: return address - address of the probed instruction; NO_CALLER: does not fit; fault: the
			     same with the address of the faulting instruction; other roles 0 */
	u32 tid;
	u32 pid;          /* thread group */
	u32 sequence;     /* per CPU, also counts events that found no room */
};

#define EVENT_STACK_MASK 3u /* 0 own stack of the goroutine, 1 g0 of the thread, 2 gsignal of the thread */
#define EVENT_VALUES 4u     /* a values record with the same tid and time was tried */
#define NO_CALLER (-2147483647 - 1)

/* One per ring; mapped by the recorder. A cache line, since each CPU writes its own. */
struct ring_state {
	u64 sequence;     /* of the last event tried; a preempted program may repeat a number */
	u64 lost_events;  /* exact */
	u64 lost_values;  /* exact */
	u64 no_goroutine; /* hits outside of goroutines: exact */
	u64 full_gates;   /* roots that found no room in the gate table: exact */
	u64 full_goroutines; /* ring 0 only: 1 once the table of goroutines was full */
	u64 reserved;     /* slots of the ring given out so far */
	u64 consumed;     /* of them read by the recorder, which alone writes this */
};

/* What the recorder tells the program; bpf/guard.h has most of the reasons. */
struct control {
	u64 closed;   /* 1: no hit counts */
	u64 epoch;    /* counts successions; 0: no second link exists */
	u64 young;    /* generation of the newer link */
	u64 moving;   /* exits move from some sites to others */
	u64 letting_go; /* 1: some functions are let go, or will be */
	u64 only_pid; /* the one on the list of pids, 0: none, MANY_PIDS: more, which are in the table */
	u64 pad[2];
};

#define MANY_PIDS (~0ull)

/* Where an event waits for the recorder. */
struct event_slot {
	u64 turn; /* written last: how many slots were given out with this one */
	struct event event;
};

struct goroutine_key {
	u64 goid;
	u64 pid;
};

/* Keeps the compiler from using what it knows of x: the bound that follows must be visible to the verifier. */
#define value_opaque(x) asm volatile("" : "+r"(x))
