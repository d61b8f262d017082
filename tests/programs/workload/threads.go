package main

import (
	"os"
	"runtime"
	"sync"

	"funcrec.test/programs/internal/truth"
)

func init() {
	scenarios["threads"] = threads
	scenarios["preemption"] = preemption
}

// hop changes the thread in the middle of the call, by every way a goroutine can be moved.
//
//go:noinline
func hop(there, back chan int, pipe *os.File) int {
	call := truth.Enter("main.hop")
	runtime.Gosched()
	sum := step(1)
	there <- sum
	sum += step(<-back)
	var buffer [1]byte
	if _, err := pipe.Read(buffer[:]); err != nil {
		panic(err)
	}
	sum += step(int(buffer[0]))
	runtime.LockOSThread()
	runtime.Gosched()
	sum += step(2)
	runtime.UnlockOSThread()
	runtime.Gosched()
	call.Return()
	return sum
}

//go:noinline
func step(n int) int {
	call := truth.Enter("main.step")
	runtime.Gosched()
	call.Return()
	return n + 1
}

func threads([]string) {
	runtime.GOMAXPROCS(4)
	var wait sync.WaitGroup
	for i := 0; i < 23; i++ {
		there, back := make(chan int), make(chan int)
		reading, writing, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		reading.Fd() // takes the descriptor from the poller: reading blocks a thread
		wait.Add(2)
		go func() {
			defer wait.Done()
			for round := 0; round < 11; round++ {
				hop(there, back, reading)
			}
		}()
		go func() {
			defer wait.Done()
			runtime.LockOSThread()
			for round := 0; round < 11; round++ {
				back <- <-there
				step(round)
				if _, err := writing.Write([]byte{1}); err != nil {
					panic(err)
				}
			}
		}()
	}
	wait.Wait()
}

// leaf has neither frame nor stack check; its caller logs it.
//
//go:noinline
func leaf(n int) int {
	return n*n + 1
}

//go:noinline
func spin(rounds int) int {
	call := truth.Enter("main.spin")
	sum := 0
	for i := 0; i < rounds; i++ {
		inner := truth.Before("main.leaf")
		sum += leaf(i)
		inner.After()
		for j := 0; j < 2_000_000; j++ { // no call and no stack check: only a signal can interrupt it
			sum ^= j
		}
	}
	call.Return()
	return sum
}

// preemption interrupts tight loops by signals, and calls by poisoned stack bounds.
func preemption([]string) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
			}
		}
	}()
	var wait sync.WaitGroup
	for i := 0; i < 5; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			spin(101)
		}()
	}
	wait.Wait()
	close(done)
}
