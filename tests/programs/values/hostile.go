package main

import "unsafe"

type header struct {
	data uintptr
	len  int
	cap  int
}

// hostile passes values whose pointers and lengths lie; the callees look at none of them.
func hostile() {
	unmapped := []uintptr{1, 8, 0x1000, 0x7fff_ffff_f000, 0xffff_8000_0000_0000, 0xdead_beef_0000}
	for _, address := range unmapped {
		for _, length := range []int{1, 256, 1 << 60, -1, -1 << 63} {
			h := header{address, length, length}
			text(*(*string)(unsafe.Pointer(&h)), *(*[]byte)(unsafe.Pointer(&h)))
			slices(*(*[]int)(unsafe.Pointer(&h)), *(*[]string)(unsafe.Pointer(&h)), *(*[][]byte)(unsafe.Pointer(&h)), nil)
		}
	}
	nothing()
}
