// Cthreads has threads that C started call back into Go: goroutines on threads the Go runtime did not make.
package main

/*
#cgo LDFLAGS: -lpthread
#include <pthread.h>

extern int fromC(int);

static void *run(void *n) {
	long sum = 0;
	for (int i = 0; i < 11; i++)
		sum += fromC((int)(long)n + i);
	return (void *)sum;
}

static int start(int threads) {
	pthread_t ids[64];
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], 0, run, (void *)i) != 0)
			return -1;
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], 0);
	return 0;
}

static int through(int n) { return fromC(n); }
*/
import "C"

import "funcrec.test/programs/internal/truth"

// fromC is called by threads of C and, through C, by Go.
//
//export fromC
func fromC(n C.int) C.int {
	return C.int(called(int(n)))
}

//go:noinline
func called(n int) int {
	call := truth.Enter("main.called")
	sum := deeper(n)
	if n == 5 {
		sum += across(2) // from C to Go to C to Go
	}
	call.Return()
	return sum
}

//go:noinline
func deeper(n int) int {
	call := truth.Enter("main.deeper")
	call.Return()
	return n + 1
}

//go:noinline
func across(n int) int {
	call := truth.Enter("main.across")
	sum := int(C.through(C.int(n)))
	call.Return()
	return sum
}

func main() {
	for i := 0; i < 23; i++ {
		across(i)
	}
	if C.start(23) != 0 {
		panic("no threads")
	}
	truth.Flush()
}
