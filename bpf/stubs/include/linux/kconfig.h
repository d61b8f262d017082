/* Forced into every compilation by BCC, whose helpers refuse to go on without this. */
#pragma once
#define CONFIG_BPF_SYSCALL 1
