// Calls whose number, sizes, errors and creators are known: what the answers of a recording must add up to.
package main

import (
	"errors"
	"os"
	"sync"
)

var sink byte

//go:noinline
func serialize(b []byte) (n int, err error) {
	rounds := 4
	if os.Getenv("SLOW") != "" {
		rounds = 100
	}
	for range make([]struct{}, rounds) {
		for _, c := range b {
			sink ^= c
		}
	}
	if len(b)%1000 == 7 {
		return 0, errors.New("odd size")
	}
	return len(b), nil
}

//go:noinline
func work(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 2003; i++ { // sizes 0..4004 in steps of 2, mixed, and some odd ones
		size := 2 * (i * 1013 % 2003)
		if i%101 == 0 {
			size = 1007
		}
		serialize(make([]byte, size))
	}
}

func main() {
	var wg sync.WaitGroup
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go work(&wg)
	}
	wg.Wait()
}
