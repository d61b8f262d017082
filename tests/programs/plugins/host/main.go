// Host loads a plugin and calls its function from several goroutines.
package main

import (
	"os"
	"plugin"
	"strconv"
	"sync"
)

func main() {
	loaded, err := plugin.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	symbol, err := loaded.Lookup("Descend")
	if err != nil {
		panic(err)
	}
	descend := symbol.(func(int) int)
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	var done sync.WaitGroup
	for i := 0; i < 3; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := 0; i < count; i++ {
				descend(4)
			}
		}()
	}
	done.Wait()
}
