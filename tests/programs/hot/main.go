// Command hot calls some functions in tight loops and says how often: what a guard that lets functions go is tried on.
//
//	hot COUNT GOROUTINES [wait]
//
// Every goroutine calls calm, then each of hot0 to hot7, COUNT times, deep inside outer. With `wait` it reads a line
// before it begins and another one before it ends; with `stubborn` it does so too, and Ctrl-C does not end it. With
// `forever` it begins anew with short rests until its standard input ends.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"time"
)

// calm has an entry and an exit of its own; the leaves after it begin and end at one instruction.
//
//go:noinline
func calm(n int) int {
	if n < 0 {
		fmt.Fprintln(os.Stderr, "cannot be", n)
	}
	return n + 1
}

//go:noinline
func hot0(n int) int { return n + 2 }

//go:noinline
func hot1(n int) int { return n + 3 }

//go:noinline
func hot2(n int) int { return n + 4 }

//go:noinline
func hot3(n int) int { return n + 5 }

//go:noinline
func hot4(n int) int { return n + 6 }

//go:noinline
func hot5(n int) int { return n + 7 }

//go:noinline
func hot6(n int) int { return n + 8 }

// hot7 has a frame, and calls a function that may be recorded.
//
//go:noinline
func hot7(n int) int { return within(n) + hot0(n) }

//go:noinline
func within(n int) int { return n + 9 }

// outer stays open while everything else is called.
//
//go:noinline
func outer(count int) int {
	sum := 0
	for i := 0; i < count; i++ {
		sum += calm(i) + hot0(i) + hot1(i) + hot2(i) + hot3(i) + hot4(i) + hot5(i) + hot6(i) + hot7(i)
	}
	return sum
}

func main() {
	count, _ := strconv.Atoi(os.Args[1])
	goroutines, _ := strconv.Atoi(os.Args[2])
	mode := ""
	if len(os.Args) > 3 {
		mode = os.Args[3]
	}
	wait := mode != ""
	if mode == "stubborn" {
		signal.Ignore(os.Interrupt)
	}
	lines := bufio.NewReader(os.Stdin)
	if wait {
		fmt.Println("ready")
		lines.ReadString('\n')
	}
	var done sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			outer(count)
			for mode == "forever" {
				time.Sleep(time.Millisecond)
				outer(count)
			}
		}()
	}
	if mode == "forever" {
		lines.ReadString('\n')
		return
	}
	done.Wait()
	fmt.Println("done")
	if wait {
		lines.ReadString('\n')
	}
}
