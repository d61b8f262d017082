/* Registers as a uprobe program sees them on x86-64: order and names of Linux arch/x86/include/asm/ptrace.h. */
#pragma once
#include <linux/types.h>
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	unsigned long ip, cs, flags, sp, ss;
};
