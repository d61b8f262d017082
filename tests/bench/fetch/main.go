// Fetch calls one function with values and says how long it took: commands on stdin, one answer a line on stdout.
//
//	handle N   N calls: CPU nanoseconds per call
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

var sink int

//go:noinline
func leaf(x int) int { return x ^ sink }

//go:noinline
func handle(id int, name string, body []byte) int {
	if id < 0 {
		return leaf(id) + 1
	}
	return leaf(id+len(name)) + len(body)
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
	names := make([]string, 256)
	for i := range names {
		names[i] = fmt.Sprintf("customer %d of the shop", i)
	}
	body := make([]byte, 100)
	fmt.Println("ready")
	for in.Scan() {
		var what string
		var n int
		fmt.Sscan(in.Text(), &what, &n)
		start := cpuNanoseconds()
		for i := 0; i < n; i++ {
			sink = handle(i&0xff, names[i&0xff], body)
		}
		fmt.Println(float64(cpuNanoseconds()-start) / float64(n))
	}
}
