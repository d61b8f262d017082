// Command limits makes more of something than the recorder has room for.
//
//	limits deep N      N calls inside each other
//	limits panics N    N goroutines, of which each leaves four calls by a panic that it recovers, or by Goexit
//	limits threads N   N threads, each inside a call at the same time
//	limits churn N     N threads one after the other, each with a call, with rests between
//	limits exit N      ends inside N calls
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

//go:noinline
func deep(n int) int {
	if n > 0 {
		return deep(n-1) + 1
	}
	if exits {
		os.Exit(0)
	}
	return n
}

var exits bool

//go:noinline
func leave(n int, how int) int {
	if n > 0 {
		return leave(n-1, how) + 1
	}
	if how%2 == 0 {
		panic(how)
	}
	runtime.Goexit()
	return n
}

func protected(how int) {
	defer func() { recover() }()
	leave(3, how)
}

//go:noinline
func work(n int, name string) int { return n + len(name) }

func onThreads(n int, body func(i int)) {
	var wait sync.WaitGroup
	for i := 0; i < n; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			body(i)
		}(i)
	}
	wait.Wait()
}

func main() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	name := string(append([]byte(nil), "a name"...))
	switch os.Args[1] {
	case "deep", "exit":
		exits = os.Args[1] == "exit"
		deep(n)
	case "panics":
		var wait sync.WaitGroup
		for i := 0; i < n; i++ {
			wait.Add(1)
			go func(i int) {
				defer wait.Done()
				protected(i)
			}(i)
		}
		wait.Wait()
	case "threads":
		debug.SetMaxThreads(2 * n)
		var together sync.WaitGroup
		together.Add(n)
		onThreads(n, func(i int) {
			work(i, name)
			together.Done()
			together.Wait()
		})
	case "churn":
		for i := 0; i < n; i++ {
			onThreads(1, func(int) { work(i, name) })
			time.Sleep(300 * time.Microsecond)
		}
	}
}
