// Command shapes has a function of every shape that matters for choosing probes, and answers questions about its own
// code: each line of standard input is an address as linked; the answer is what the runtime itself knows about it.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"

	dotted "funcrec.test/programs/shapes/dotted.pkg"
)

type Student struct {
	Name string
	Age  int
}

//go:noinline
func (s *Student) String() string { return s.Name + " " + strconv.Itoa(s.Age) }

type Wrapped struct{ *dotted.Base }

type promoter interface{ Promoted(int) int }

type holder struct{ promoter }

type Box[T any] struct{ value T }

//go:noinline
func (b *Box[T]) Get() T { return b.value }

//go:noinline
func Map[T, U any](in []T, f func(T) U) []U {
	var out []U
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

//go:noinline
func empty() {}

//go:noinline
func add(a, b int) int { return a + b }

//go:noinline
func load(s *Student) int { return s.Age }

//go:noinline
func pick(a, b int) int {
	if a > b {
		return a
	}
	return b
}

//go:noinline
func sum(values []int) int {
	total := 0
	for _, v := range values {
		total += v
	}
	return total
}

//go:noinline
func bytesOf(n int) byte {
	var block [400]byte
	for i := range block {
		block[i] = byte(n + i)
	}
	return block[n%400]
}

//go:noinline
func huge(n int) int {
	var block [20000]int
	for i := range block {
		block[i] = n + i
	}
	return block[n%20000]
}

//go:noinline
func choose(n int) string {
	switch n {
	case 0:
		return "zero"
	case 1:
		return "one"
	case 2:
		return "two"
	case 3:
		return "three"
	case 4:
		return "four"
	case 5:
		return "five"
	case 6:
		return "six"
	case 7:
		return "seven"
	case 8:
		return "eight"
	}
	return strconv.Itoa(n)
}

//go:noinline
func guarded(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	f()
	return nil
}

//go:noinline
func forever(ch chan int) {
	for {
		ch <- 1
	}
}

//go:noinline
func fail() { panic("fail") }

//go:noinline
func where(n int) int { return n * n }

func inner(n int) int { return where(n+1) + 1 } // line of the call in inner

func middle(n int) int { return inner(n) * 2 } // line of the call in middle

//go:noinline
func outer(n int) int { return middle(n) - where(n) } // line of the calls in outer

func onlyInlined(s *Student) int { return s.Age*31 + len(s.Name) }

func partlyInlined(s *Student) int { return s.Age * 17 }

func main() {
	s := &Student{"x", len(os.Args)}
	var f func(*Student) int = partlyInlined
	if len(os.Args) > 1 {
		var p promoter = Wrapped{&dotted.Base{N: 3}}
		p = holder{p}
		fmt.Println(s, add(1, 2), load(s), p.Promoted(3), pick(1, 2), sum([]int{1, 2}), choose(3), outer(2), dotted.Straight(1, 2))
		fmt.Println(Map([]int{1}, func(i int) string { return strconv.Itoa(i) }), (&Box[string]{"x"}).Get(), bytesOf(1), huge(1))
		fmt.Println(guarded(fail), onlyInlined(s), partlyInlined(s), f(s), (&dotted.Base{}).Value(2))
		empty()
		get := s.String
		fmt.Println(get())
		go forever(make(chan int))
	}
	answer()
}

// answer reads addresses as linked and prints entry, name, file and line for each, as linked too.
func answer() {
	lines := bufio.NewScanner(os.Stdin)
	var bias uintptr
	for lines.Scan() {
		var address uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "main.main %d", &address); n == 1 {
			bias = mainEntry() - address
			continue
		}
		fmt.Sscan(lines.Text(), &address)
		f := runtime.FuncForPC(address + bias)
		if f == nil {
			fmt.Println("none")
			continue
		}
		file, line := f.FileLine(address + bias)
		fmt.Printf("%d\t%s\t%s\t%d\n", f.Entry()-bias, f.Name(), file, line)
	}
}

func mainEntry() uintptr {
	pcs := make([]uintptr, 10)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for {
		frame, more := frames.Next()
		if frame.Function == "main.main" {
			return frame.Entry
		}
		if !more {
			panic("main.main is not on the stack")
		}
	}
}
