package main

import (
	"strings"
	"unsafe"
)

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

//go:noinline
func watched(s *Student, n *Node, m map[int]string, list []*Student) int { return len(list) }

// race passes what another goroutine keeps changing. Whatever two words of a text are seen together, they lie within
// one text of the letter a.
func race() {
	letters := strings.Repeat("a", 2000)
	student, node, numbers := &Student{inner: &Inner{}}, &Node{}, map[int]string{}
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			student.name = letters[i%100 : i%100+i%900]
			student.inner = &Inner{Name: letters[:i%200], Tags: make([]string, i%20)}
			node.Next = &Node{i, node}
			numbers[i%50] = letters[:i%10]
			delete(numbers, (i+25)%50)
		}
	}()
	for i := 0; i < 5000; i++ {
		watched(student, node, numbers, []*Student{student, nil, student}[:i%4])
	}
	close(stop)
	<-stopped
}
