// Command tails has functions whose last instructions fault: between the place where their return was foreseen and the
// RET. Every one is called with and without a fault, from callers that recover, from callers that would only return, and
// after calls that nobody records. It prints how many faults it saw.
package main

import (
	"fmt"
	"os"
	"sync"
)

type node struct {
	value int
	next  *node
}

var silent int

// leaf leaves behind a branch and loads.
//
//go:noinline
func leaf(n *node, zero bool) int {
	if zero {
		return 0
	}
	return n.value
}

// store leaves by a store.
//
//go:noinline
func store(n *node, value int, do bool) {
	if do {
		n.value = value
	}
}

// divide leaves by a division.
//
//go:noinline
func divide(a, b int, do bool) int {
	if !do {
		return a
	}
	return a / b
}

// first leaves at once.
//
//go:noinline
func first(n *node) int { return n.next.value }

// touch returns from a branch.
//
//go:noinline
func touch(n int) int {
	if n > 3 {
		return n + 1
	}
	return n - 1
}

// after loads once a recorded callee has returned: its exit comes with that of touch.
//
//go:noinline
func after(n *node) int {
	touch(n0(n))
	return n.value
}

func n0(n *node) int {
	if n == nil {
		return 1
	}
	return 5
}

// above only returns after a call of after.
//
//go:noinline
func above(n *node) {
	after(n)
}

// quiet is not recorded and faults at any depth.
//
//go:noinline
func quiet(n *node, depth int) int {
	var pad [16]int
	if depth > 0 {
		silent += pad[depth&15]
		return quiet(n, depth-1) + 1
	}
	return n.value
}

// thenQuiet is left by no fault of its own: quiet faults after leaf has returned.
//
//go:noinline
func thenQuiet(n *node) int {
	leaf(nil, true)
	return quiet(n, 3) + 1
}

// deep makes faults happen on a stack that has grown.
//
//go:noinline
func deep(levels int, n *node) int {
	var pad [64]int
	pad[levels&63] = levels
	if levels == 0 {
		return first(n) + pad[0]
	}
	return deep(levels-1, n) + pad[levels&63]
}

// search leaves from a loop that calls nothing.
//
//go:noinline
func search(values []int, wanted int) int {
	for i, value := range values {
		if value == wanted {
			return i
		}
	}
	return -1
}

// searchBy leaves from a loop that calls touch.
//
//go:noinline
func searchBy(values []int, wanted int) int {
	for i, value := range values {
		if touch(value) == wanted {
			return i
		}
	}
	return -1
}

// searchSilently leaves from a loop that calls a function which is not recorded.
//
//go:noinline
func searchSilently(values []int, wanted int) int {
	for i, value := range values {
		if double(value) == wanted {
			return i
		}
	}
	return -1
}

//go:noinline
func double(n int) int { return 2 * n }

// unlikely has a frame and leaves before it is of use.
//
//go:noinline
func unlikely(n int) int {
	if n < 0 {
		return double(n) + 1
	}
	return n + 1
}

// long searches so long that it pays to watch for the RET instead.
func long(times int) {
	values := make([]int, 200_000)
	for i := 0; i < times; i++ {
		values[len(values)-1-i] = i + 1
		if searchSilently(values, 2*i+2) < 0 {
			os.Exit(1)
		}
	}
}

// tries calls f and reports whether it panicked.
//
//go:noinline
func tries(f func()) (failed bool) {
	defer func() { failed = recover() != nil }()
	f()
	return false
}

func round(good *node) (faults int) {
	for _, f := range []func(){
		func() { leaf(good, false) },
		func() { leaf(nil, false) },
		func() { leaf(nil, true) },
		func() { store(good, 1, true) },
		func() { store(nil, 1, true) },
		func() { store(nil, 1, false) },
		func() { divide(7, 2, true) },
		func() { divide(7, 0, true) },
		func() { divide(7, 0, false) },
		func() { first(good) },
		func() { first(good.next) },
		func() { first(nil) },
		func() { after(good) },
		func() { after(nil) },
		func() { above(good) },
		func() { above(nil) },
		func() { thenQuiet(good) },
		func() { thenQuiet(nil) },
		func() { search([]int{1, 2, 3}, 3) },
		func() { searchBy([]int{1, 2, 3}, 9) },
		func() { deep(40, good) },
		func() { deep(40, nil) },
	} {
		if tries(f) {
			faults++
		}
	}
	return
}

func main() {
	if len(os.Args) > 1 {
		if os.Args[1] == "often" {
			for i := 0; i < 300_000; i++ {
				unlikely(i & 7)
			}
			return
		}
		long(300)
		return
	}
	good := &node{value: 1, next: &node{value: 2}}
	var total int
	var lock sync.Mutex
	var wait sync.WaitGroup
	for i := 0; i < 4; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			faults := 0
			for j := 0; j < 50; j++ {
				faults += round(good)
			}
			lock.Lock()
			total += faults
			lock.Unlock()
		}()
	}
	wait.Wait()
	fmt.Println(total)
	if total != 4*50*9 {
		os.Exit(1)
	}
}
