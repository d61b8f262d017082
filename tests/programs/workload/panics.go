package main

import (
	"runtime"
	"sync"

	"funcrec.test/programs/internal/truth"
)

func init() {
	scenarios["panics"] = panics
	scenarios["goexit"] = goexit
}

const pause = 3_000_000 // ns between a recovery and the next recorded call, to tell the two apart

// dive calls itself n times and then does the deed, which panics.
//
//go:noinline
func dive(n int, deed func()) int {
	call := truth.Enter("main.dive")
	if n == 0 {
		deed()
	} else {
		n += dive(n-1, deed)
	}
	call.Return()
	return n
}

// guard recovers what dive throws, some levels below.
//
//go:noinline
func guard(n int, deed func()) (result int) {
	call := truth.Enter("main.guard")
	defer func() {
		if recover() != nil {
			result = -1
			call.Recovered(nil)
		}
	}()
	result = dive(n, deed)
	call.Return()
	return result
}

// nested has a guard above a guard: the inner one recovers, then the outer one too.
//
//go:noinline
func nested(n int, deed func()) (result int) {
	call := truth.Enter("main.nested")
	defer func() {
		if recover() != nil {
			call.Recovered(nil)
		}
	}()
	guard(n, deed)
	truth.Stamp()
	spend(pause)
	dive(n, deed)
	call.Return()
	return n
}

// rescue is a recorded deferred function that recovers.
//
//go:noinline
func rescue(protected *truth.Call) {
	call := truth.Enter("main.rescue")
	if recover() != nil {
		protected.Recovered(call)
	} else {
		protected.ReturnFrom(call)
	}
}

//go:noinline
func rescued(n int, deed func()) {
	call := truth.Enter("main.rescued")
	defer rescue(call)
	dive(n, deed)
	truth.Stamp()
}

// cleanup is a recorded deferred function that does not recover.
//
//go:noinline
func cleanup(n int) int {
	call := truth.Enter("main.cleanup")
	call.Return()
	return n
}

// cleaned runs a deferred call while the panic passes through it.
//
//go:noinline
func cleaned(n int, deed func()) {
	call := truth.Enter("main.cleaned")
	defer cleanup(n)
	dive(n, deed)
	call.Return()
}

// again recovers and panics anew in the same deferred function, which therefore never returns.
//
//go:noinline
func again(n int, deed func()) {
	call := truth.Enter("main.again")
	defer rethrow()
	dive(n, deed)
	call.Return()
}

//go:noinline
func rethrow() {
	call := truth.Enter("main.rethrow")
	if reason := recover(); reason != nil {
		panic(reason)
	}
	call.Return()
}

// replaced panics in a deferred function while another panic is under way.
//
//go:noinline
func replaced(n int, deed func()) {
	call := truth.Enter("main.replaced")
	defer throw("in a deferred call")
	dive(n, deed)
	call.Return()
}

//go:noinline
func throw(text string) {
	truth.Enter("main.throw")
	panic(text)
}

// detour recovers a panic of its own inside a deferred call while the outer panic is under way.
//
//go:noinline
func detour(n int, deed func()) {
	call := truth.Enter("main.detour")
	defer guard(1, func() { throw("small") })
	dive(n, deed)
	call.Return()
}

func badIndex() {
	empty := []int{}
	sink = empty[len(scenarios)]
}

func badPointer() {
	var nowhere *struct{ field int }
	sink = nowhere.field
}

func badMap() {
	var missing map[int]int
	missing[1] = 1
}

func badDivision() {
	zero := len(scenarios) - len(scenarios)
	sink = 1 / zero
}

func badType() {
	var anything any = "text"
	sink = anything.(int)
}

func panics([]string) {
	deeds := []func(){
		func() { throw("plain") }, badIndex, badPointer, badMap, badDivision, badType,
		func() { cleaned(2, func() { throw("cleaned") }) },
		func() { again(1, func() { throw("again") }) },
		func() { replaced(1, badPointer) },
		func() { detour(2, func() { throw("detour") }) },
		func() {},
	}
	var wait sync.WaitGroup
	for g := 0; g < 3; g++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i, deed := range deeds {
				for _, around := range []func(){
					func() { guard(i, deed) },
					func() { nested(i, deed) },
					func() { rescued(i, deed) },
				} {
					around()
					truth.Stamp()
					spend(pause)
					cleanup(i)
				}
			}
			truth.Stamp()
		}()
	}
	wait.Wait()
}

// leave ends its goroutine n calls below the first.
//
//go:noinline
func leave(n int) {
	call := truth.Enter("main.leave")
	defer cleanup(n)
	if n == 0 {
		runtime.Goexit()
	}
	leave(n - 1)
	call.Return()
}

func goexit([]string) {
	var wait sync.WaitGroup
	for i := 0; i < 23; i++ {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			defer truth.Goexiting()
			truth.Stamp()
			guard(2, badIndex)
			leave(n % 5)
		}(i)
	}
	wait.Wait()
	for runtime.NumGoroutine() > 1 { // the last deferred function is not yet the end of a goroutine
		runtime.Gosched()
	}
}
