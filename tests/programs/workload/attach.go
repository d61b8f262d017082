package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"funcrec.test/programs/internal/truth"
)

func init() {
	scenarios["attach"] = attach
	scenarios["flood"] = flood
}

// held is entered before the recorder comes; what it calls afterwards is recorded, its own end is not a call.
//
//go:noinline
func held(n int, here *sync.WaitGroup, gate chan struct{}) int {
	call := truth.Enter("main.held")
	sum := 0
	if n > 0 {
		sum = held(n-1, here, gate)
	} else {
		here.Done()
		<-gate
	}
	truth.Stamp()
	sum += inner(n)
	descend(3)
	call.Return()
	return sum
}

// attach holds five goroutines inside calls until a line arrives on standard input.
func attach([]string) {
	gate := make(chan struct{})
	var here, done sync.WaitGroup
	for i := 0; i < 5; i++ {
		here.Add(1)
		done.Add(1)
		go func(n int) {
			defer done.Done()
			held(n, &here, gate)
			inner(n)
			truth.Stamp()
		}(i)
	}
	here.Wait()
	ready()
	proceed()
	truth.Count("attached", int(truth.Now()))
	close(gate)
	done.Wait()
}

// tick is called more often than any buffer holds.
//
//go:noinline
func tick(n int) int {
	if n < 0 {
		fmt.Fprintln(os.Stderr, "cannot be", n)
	}
	return n + 1
}

// flood calls tick from two goroutines, neither of which ends before the process does.
func flood(args []string) {
	count, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	if len(args) > 1 {
		ready()
		proceed()
	}
	done := make(chan struct{})
	go func() {
		for i := 0; i < count; i++ {
			tick(i)
		}
		done <- struct{}{}
		select {}
	}()
	for i := 0; i < count; i++ {
		tick(i)
	}
	<-done
	truth.Count("main.tick", 2*count)
	if len(args) > 1 {
		fmt.Println("done")
		proceed()
	}
	os.Exit(0)
}
