package main

import (
	"context"
	"time"
)

// Hooks has functions as fields, as many a configuration does.
type Hooks struct {
	Before func(int) int
	After  func()
	All    []func(int) int
}

type HandlerFunc func(int) int

func (f HandlerFunc) Area() int { return f(2) }

func twice(n int) int { return 2 * n }

func (p *Point) Move(n int) int { return p.X + n }

//go:noinline
func functions(f func(int) int, h Hooks, p *Hooks, s Shaper, a any) (func(int) int, HandlerFunc) {
	return f, HandlerFunc(p.Before)
}

//go:noinline
func apply(f func(int) int, n int) int { return f(n) }

//go:noinline
func deadlines(ctx context.Context, limit time.Duration) (time.Time, bool) { return ctx.Deadline() }

// counter returns a closure over all kinds of variables.
//
//go:noinline
func counter(step int, name string, seen map[string]int) func(int) (int, string) {
	total := 0
	return func(n int) (int, string) {
		total += step * n
		seen[name] = total
		return total, name
	}
}

func functionValues() {
	point := &Point{30, 4}
	named, method, receiver := twice, point.Move, (*Point).Move
	closure := func(n int) int { return n + point.X }
	keep(&closure)
	hooks := Hooks{Before: named, All: []func(int) int{method, nil, closure}}
	for _, f := range []func(int) int{nil, named, method, closure, apply2(receiver, point), generic2[int8]} {
		f0, f1 := functions(f, hooks, &hooks, HandlerFunc(named), f)
		args := []any{f, hooks, &hooks, boxed{HandlerFunc(named)}, boxed{f}}
		record("main.functions", "f h p s a", args, "r0 r1", []any{f0, f1})
		if f != nil {
			record("main.apply", "f n", []any{f, 5}, "r0", []any{apply(f, 5)})
		}
	}

	count := counter(3, clone("steps"), map[string]int{})
	keep(&count)
	for n := 1; n < 3; n++ {
		total, name := count(n)
		record("main.counter.func1", "n", []any{n}, "r0 r1", []any{total, name})
	}

	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(time.Hour))
	nested := context.WithValue(ctx, point, clone("nested"))
	for _, each := range []context.Context{ctx, nested} {
		until, ok := deadlines(each, time.Minute)
		record("main.deadlines", "ctx limit", []any{boxed{each}, time.Minute}, "r0 r1", []any{until, ok})
	}
	cancel()
}

//go:noinline
func apply2(f func(*Point, int) int, p *Point) func(int) int {
	return func(n int) int { return f(p, n) }
}

//go:noinline
func generic2[T int8 | int16](n int) int { return int(T(n)) }
