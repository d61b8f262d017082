/* arm64: registers as a uprobe program sees them (struct user_pt_regs of Linux arch/arm64/include/uapi/asm/ptrace.h), and
 * what the other parts want to know of them. record/machine.py chooses this file or another. */

struct pt_regs {
	u64 regs[31];
	u64 sp, pc, pstate;
};

#define STORES_IN_ORDER 0 /* as other processors see them */

#define REGISTERS 32 /* at least as many as read_registers writes, a power of two */

/* A call pushes nothing: at its entry a function's SP is that of its caller. Depths count the word below it, where the
 * return address goes, so that a callee is deeper than the frame that it was called from. */
#define FRAME_ABOVE_SP 8

/* runtime.g in ABIInternal functions, but not in C and not always in assembly. */
static __always_inline u64 hit_g(struct pt_regs *ctx)
{
	return ctx->regs[28];
}

static __always_inline u64 hit_sp(struct pt_regs *ctx)
{
	return ctx->sp;
}

static __always_inline u64 hit_ip(struct pt_regs *ctx)
{
	return ctx->pc;
}

/* At an entry, where it is still in the link register. */
static __always_inline u64 return_address(struct pt_regs *ctx, u64 sp)
{
	return ctx->regs[30];
}

/* Condition codes in pairs: 0 Z, 1 C, 2 N, 3 V, 4 C and not Z, 5 N == V, 6 N == V and not Z; an odd code negates. */
static __always_inline int branch_taken(struct pt_regs *ctx, u32 condition)
{
	u64 flags = ctx->pstate;
	u32 n = flags >> 31 & 1, z = flags >> 30 & 1, c = flags >> 29 & 1, v = flags >> 28 & 1;
	u32 taken;

	switch (condition >> 1) {
	case 0: taken = z; break;
	case 1: taken = c; break;
	case 2: taken = n; break;
	case 3: taken = v; break;
	case 4: taken = c & (z ^ 1); break;
	case 5: taken = n ^ v ^ 1; break;
	case 6: taken = (n ^ v ^ 1) & (z ^ 1); break;
	default: return 1;
	}
	return taken ^ (condition & 1);
}

/* By the numbers of value plans (Arm64Register of target/abi.py). */
static __always_inline void read_registers(u64 *to, struct pt_regs *ctx, u64 sp)
{
	to[0] = ctx->regs[0];
	to[1] = ctx->regs[1];
	to[2] = ctx->regs[2];
	to[3] = ctx->regs[3];
	to[4] = ctx->regs[4];
	to[5] = ctx->regs[5];
	to[6] = ctx->regs[6];
	to[7] = ctx->regs[7];
	to[8] = ctx->regs[8];
	to[9] = ctx->regs[9];
	to[10] = ctx->regs[10];
	to[11] = ctx->regs[11];
	to[12] = ctx->regs[12];
	to[13] = ctx->regs[13];
	to[14] = ctx->regs[14];
	to[15] = ctx->regs[15];
	to[16] = ctx->regs[26];
	to[17] = sp;
	to[18] = ctx->regs[28];
	to[19] = ctx->regs[29];
	to[20] = ctx->regs[30];
}
