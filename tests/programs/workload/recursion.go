package main

import (
	"runtime"
	"sync"

	"funcrec.test/programs/internal/truth"
)

func init() {
	scenarios["recursion"] = recursion
	scenarios["many"] = many
}

// descend has a frame big enough for the stack to grow, and so to move, several times on the way down.
//
//go:noinline
func descend(n int) int {
	call := truth.Enter("main.descend")
	var local [400]byte
	local[n%len(local)] = byte(n)
	sum := int(local[(n*7)%len(local)])
	if n > 0 {
		sum += other(n - 1)
	}
	sum += int(local[n%len(local)])
	call.Return()
	return sum
}

// other makes the recursion mutual: two functions take turns.
//
//go:noinline
func other(n int) int {
	call := truth.Enter("main.other")
	sum := n
	if n > 0 {
		sum += descend(n - 1)
	}
	call.Return()
	return sum
}

func recursion([]string) {
	for round := 0; round < 2; round++ {
		var wait sync.WaitGroup
		for i := 0; i < 23; i++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				truth.Stamp()
				descend(100)
				truth.Stamp()
				runtime.GC() // shrinks the stack again
				descend(22)
				truth.Stamp()
			}()
		}
		wait.Wait()
	}
}

//go:noinline
func outer(n int, gate chan struct{}) int {
	call := truth.Enter("main.outer")
	<-gate
	sum := inner(n) + inner(n+1)
	call.Return()
	return sum
}

//go:noinline
func inner(n int) int {
	call := truth.Enter("main.inner")
	call.Return()
	return n * n
}

// many has 10,000 goroutines inside a call at the same time.
func many([]string) {
	gate := make(chan struct{})
	var wait sync.WaitGroup
	for i := 0; i < 10_000; i++ {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			outer(n, gate)
		}(i)
	}
	for i := 0; i < 10_000; i++ {
		gate <- struct{}{}
	}
	wait.Wait()
}
