/* See linux/types.h. */
#pragma once
#include <linux/types.h>
