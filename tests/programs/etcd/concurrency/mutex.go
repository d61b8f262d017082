// Package concurrency has the function that other tracers of Go use in their examples, with the same layout.
package concurrency

import "context"

type Session struct {
	client *int
	opts   *int
	id     int64
}

type Mutex struct {
	s     *Session
	pfx   string
	myKey string
	myRev int64
}

func New(lease int64, prefix string) *Mutex {
	return &Mutex{s: &Session{id: lease}, pfx: prefix, myKey: prefix + "/key"}
}

//go:noinline
func (m *Mutex) tryAcquire(ctx context.Context) (int64, error) {
	m.myRev++
	return m.myRev, ctx.Err()
}

//go:noinline
func (m *Mutex) Lock(ctx context.Context) error {
	_, err := m.tryAcquire(ctx)
	return err
}
