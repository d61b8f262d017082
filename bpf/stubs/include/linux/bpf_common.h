/* BCC's own copy of the BPF definitions is enough. */
#pragma once

