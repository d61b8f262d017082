/* BCC's helpers want a page size; ring sizes are given in pages of this size. */
#pragma once
#define PAGE_SIZE 4096
