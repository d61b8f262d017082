package main

import (
	"fmt"
	"sync"

	"funcrec.test/programs/internal/truth"
)

func init() {
	scenarios["methods"] = methods
	scenarios["inlining"] = inlining
	scenarios["statements"] = statements
}

type Point struct{ x, y int }

//go:noinline
func (p Point) Norm() int {
	call := truth.Enter("main.Point.Norm")
	call.Return()
	return p.x*p.x + p.y*p.y
}

//go:noinline
func (p *Point) Move(by int) {
	call := truth.Enter("main.(*Point).Move")
	p.x += by
	p.Norm()
	call.Return()
}

type mover interface{ Move(by int) }

type normer interface{ Norm() int }

// Pixel gets Move and Norm by promotion; called through an interface they pass a forwarder first.
type Pixel struct {
	colour string
	*Point
}

//go:noinline
func moveAny(m mover, by int) {
	call := truth.Enter("main.moveAny")
	m.Move(by)
	call.Return()
}

//go:noinline
func normAny(n normer) int {
	call := truth.Enter("main.normAny")
	n.Norm()
	call.Return()
	return 0
}

// Buoy's only method of its own is reached through forwarders and wrappers alone.
type Buoy struct{ depth int }

//go:noinline
func (b Buoy) Sink(by int) int {
	call := truth.Enter("main.Buoy.Sink")
	call.Return()
	return b.depth + by
}

type Ship struct{ Buoy }

type sinker interface{ Sink(by int) int }

type Number interface{ ~int | ~float64 | ~string }

//go:noinline
func largest[T Number](values []T) T {
	call := truth.Enter(fmt.Sprintf("main.largest[go.shape.%T]", values[0]))
	best := values[0]
	for _, value := range values {
		if value > best {
			best = value
		}
	}
	call.Return()
	return best
}

type Stack[T any] struct{ items []T }

//go:noinline
func (s *Stack[T]) Push(item T) int {
	call := truth.Enter(fmt.Sprintf("main.(*Stack[go.shape.%T]).Push", item))
	s.items = append(s.items, item)
	call.Return()
	return len(s.items)
}

//go:noinline
func apply(n int, function func(int) int) int {
	call := truth.Enter("main.apply")
	result := function(n)
	call.Return()
	return result
}

func methods([]string) {
	point := &Point{1, 2}
	pixel := Pixel{"red", &Point{3, 4}}
	var stack Stack[int]
	var names Stack[string]
	base := 7
	for i := 0; i < 23; i++ {
		point.Move(i)
		point.Norm()
		pixel.Move(i)
		moveAny(point, i)
		normAny(*point)
		for _, s := range []sinker{&Ship{Buoy{1}}, Ship{Buoy{2}}, Buoy{3}, &Buoy{4}} {
			s.Sink(i)
		}
		largest([]int{1, 3, i})
		largest([]float64{1, 3})
		largest([]string{"a", "b"})
		stack.Push(i)
		names.Push("a")
		apply(i, func(n int) int {
			call := truth.Enter("main.methods.func1")
			base += n
			call.Return()
			return base
		})
		bound := point.Norm
		bound()
	}
}

// target is what the inlined functions below call.
//
//go:noinline
func target(n int) int {
	call := truth.Enter("main.target")
	call.Return()
	return n + 1
}

func viaOne(n int) int {
	return target(n) + 1
}

func viaTwo(n int) int {
	return viaOne(n+2) + 1
}

func inlining([]string) {
	for i := 0; i < 101; i++ {
		sink += viaOne(i)
		sink += viaTwo(i) + viaTwo(i+1)
		sink += target(i) + target(i+1)
	}
}

//go:noinline
func plain() {
	call := truth.Enter("main.plain")
	call.Return()
}

//go:noinline
func postponed(wait *sync.WaitGroup) {
	call := truth.Enter("main.postponed")
	call.Return()
	wait.Done()
}

// statements starts functions by go and defer instead of calling them.
func statements([]string) {
	var wait sync.WaitGroup
	for i := 0; i < 23; i++ {
		wait.Add(3)
		go postponed(&wait)
		go func() {
			plain()
			wait.Done()
		}()
		func() {
			defer plain()
			defer postponed(&wait)
		}()
	}
	wait.Wait()
}
