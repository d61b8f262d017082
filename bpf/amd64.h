/* x86-64: registers as a uprobe program sees them (order and names of Linux arch/x86/include/asm/ptrace.h), and what the
 * other parts want to know of them. record/machine.py chooses this file or another. */

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	unsigned long ip, cs, flags, sp, ss;
};

#define STORES_IN_ORDER 1 /* as other processors see them */

#define REGISTERS 32 /* at least as many as read_registers writes, and the two that follow; a power of two */
#define REGISTER_NONE 16 /* 0 */
#define REGISTER_BIAS 17

/* Bytes of a frame that lie above SP at function entry, to be counted into its depth: none, the return address is there. */
#define FRAME_ABOVE_SP 0

/* runtime.g in ABIInternal functions, but not in C and not always in assembly. */
static __always_inline u64 hit_g(struct pt_regs *ctx)
{
	return ctx->r14;
}

static __always_inline u64 hit_sp(struct pt_regs *ctx)
{
	return ctx->sp;
}

static __always_inline u64 hit_ip(struct pt_regs *ctx)
{
	return ctx->ip;
}

/* At an entry, or where the runtime made a fault look like one; `sp` as at function entry. */
static __always_inline u64 return_address(struct pt_regs *ctx, u64 sp)
{
	u64 word = 0;
	read_user(&word, sizeof(word), (void *)sp);
	return word;
}

/* Condition codes in pairs: 0 OF, 1 CF, 2 ZF, 3 CF|ZF, 4 SF, 5 PF, 6 SF!=OF, 7 ZF|SF!=OF; an odd code negates. */
static __always_inline int branch_taken(struct pt_regs *ctx, u32 condition)
{
	u64 flags = ctx->flags;
	u32 cf = flags & 1, pf = flags >> 2 & 1, zf = flags >> 6 & 1, sf = flags >> 7 & 1, of = flags >> 11 & 1;
	u32 taken;

	switch (condition >> 1) {
	case 0: taken = of; break;
	case 1: taken = cf; break;
	case 2: taken = zf; break;
	case 3: taken = cf | zf; break;
	case 4: taken = sf; break;
	case 5: taken = pf; break;
	case 6: taken = sf ^ of; break;
	default: taken = zf | (sf ^ of); break;
	}
	return taken ^ (condition & 1);
}

/* By the numbers of value plans (Register of target/abi.py). */
static __always_inline void read_registers(u64 *to, struct pt_regs *ctx, u64 sp)
{
	to[0] = ctx->ax;
	to[1] = ctx->bx;
	to[2] = ctx->cx;
	to[3] = ctx->di;
	to[4] = ctx->si;
	to[5] = ctx->r8;
	to[6] = ctx->r9;
	to[7] = ctx->r10;
	to[8] = ctx->r11;
	to[9] = ctx->dx;
	to[10] = ctx->bp;
	to[11] = sp;
	to[12] = ctx->r12;
	to[13] = ctx->r13;
	to[14] = ctx->r14;
	to[15] = ctx->r15;
}
