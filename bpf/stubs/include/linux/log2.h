/* BCC's helpers include it and use nothing of it here. */
#pragma once

