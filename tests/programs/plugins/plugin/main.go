// Plugin has a function that calls itself and one that panics inside it.
package main

//go:noinline
func Descend(n int) int {
	if n > 0 {
		return Descend(n-1) + 1
	}
	return caught()
}

//go:noinline
func caught() int {
	defer func() { recover() }()
	thrown()
	return 1
}

//go:noinline
func thrown() {
	panic("thrown")
}
