// Hot does one thing many times and says how long it took: commands on stdin, one answer a line on stdout.
//
//	framed N   N calls of a function with a stack frame: CPU nanoseconds per call
//	small N    the same of one that leaves after a branch
//	flood N P  N calls each in P goroutines: wall nanoseconds in all
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

var sink int

//go:noinline
func leaf(x int) int { return x ^ sink }

//go:noinline
func framed(x int) int {
	if x < 0 {
		return leaf(x) + 1
	}
	var room [64]byte
	room[x&63] = byte(x)
	return leaf(int(room[(x+1)&63])) + x
}

//go:noinline
func small(x int) int {
	if x < 0 {
		return leaf(x) + 1
	}
	return x + 1
}

func cpuNanoseconds() int64 {
	var ts syscall.Timespec
	const threadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

func main() {
	runtime.LockOSThread() // the thread's CPU clock must be that of one goroutine
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for in.Scan() {
		var what string
		var n, p int
		fmt.Sscan(in.Text(), &what, &n, &p)
		switch what {
		case "framed":
			start := cpuNanoseconds()
			for i := 0; i < n; i++ {
				sink = framed(i & 0xff)
			}
			fmt.Println(float64(cpuNanoseconds()-start) / float64(n))
		case "small":
			start := cpuNanoseconds()
			for i := 0; i < n; i++ {
				sink = small(i & 0xff)
			}
			fmt.Println(float64(cpuNanoseconds()-start) / float64(n))
		case "flood":
			var group sync.WaitGroup
			start := time.Now()
			for g := 0; g < p; g++ {
				group.Add(1)
				go func() {
					defer group.Done()
					x := 0
					for i := 0; i < n; i++ {
						x = small(x & 0xff)
					}
				}()
			}
			group.Wait()
			fmt.Println(time.Since(start).Nanoseconds())
		}
	}
}
