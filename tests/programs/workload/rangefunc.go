//go:build go1.23

package main

import "funcrec.test/programs/internal/truth"

func init() {
	scenarios["rangefunc"] = rangefunc
}

//go:noinline
func upTo(n int, yield func(int) bool) {
	call := truth.Enter("main.upTo")
	for i := 0; i < n && yield(i); i++ {
	}
	call.Return()
}

func counted(n int) func(func(int) bool) {
	return func(yield func(int) bool) { upTo(n, yield) }
}

// walk leaves a loop over a function in every way there is.
//
//go:noinline
func walk(stop int) (found int) {
	call := truth.Enter("main.walk")
	for i := range counted(11) {
		cleanup(i)
		if i == stop {
			break
		}
		if i%2 == 0 {
			continue
		}
		for j := range counted(3) {
			cleanup(i * j)
			if i == 7 && j == 1 {
				found = j
				goto done
			}
		}
	}
done:
	call.Return()
	return found
}

func rangefunc([]string) {
	for stop := 0; stop < 23; stop++ {
		walk(stop)
	}
}
