/* BCC's own copy is enough. */
#pragma once
