/* BCC's helpers include it; the registers are in the file of the processor. */
#pragma once
#include <linux/types.h>
struct pt_regs;
