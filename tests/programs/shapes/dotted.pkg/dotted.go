// Package dotted has a dot in the last part of its path, which symbols escape.
package dotted

type Base struct{ N int }

//go:noinline
func (b *Base) Promoted(x int) int { return b.N + x }

//go:noinline
func (b Base) Value(x int) int { return b.N * x }

//go:noinline
func Straight(a, b int) int { return a + b }
