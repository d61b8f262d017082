package main

import (
	"context"
	"sync"
	"time"
	"unsafe"
)

// Message looks like what protoc-gen-go makes.
type Message struct {
	state         messageState
	sizeCache     int32
	unknownFields []byte
	Id            *int64
	Name          *string
	Tags          []string
	Inner         *Message
	Kind          isMessage_Kind
}

type messageState struct {
	_ [0]func()
	_ [0]sync.Mutex
	p unsafe.Pointer
}

type isMessage_Kind interface{ isMessage_Kind() }

type Message_Text struct{ Text string }

func (*Message_Text) isMessage_Kind() {}

type Deep struct {
	A struct {
		B struct {
			C struct {
				D struct {
					E [2]struct{ F, G int8 }
				}
			}
		}
	}
}

type Base struct{ Id int }

type Middle struct {
	*Base
	Label string
}

type Outer struct {
	Middle
	Extra bool
}

type Large struct {
	Head string
	Rows [12]int
	Tail []byte
}

type Box[T any] struct{ value T }

//go:noinline
func (b *Box[T]) Put(value T) T {
	old := b.value
	b.value = value
	return old
}

//go:noinline
func (p Point) Add(other Point) Point { return Point{p.X + other.X, p.Y + other.Y} }

//go:noinline
func contexts(ctx context.Context, n int) (context.Context, error) { return ctx, ctx.Err() }

//go:noinline
func message(m *Message) *Message { return m.Inner }

//go:noinline
func zoned(t time.Time, u *time.Time) time.Time { return *u }

//go:noinline
func nested(d Deep, p *Deep) Deep { return *p }

//go:noinline
func promoted(o Outer, p *Outer) (int, *Outer) { return o.Id, p }

//go:noinline
func large(l Large, n int) (Large, int) { return l, n + 1 }

//go:noinline
func unnamed(int, string, ...int) (int, string) { return 5, clone("five") }

//go:noinline
func blank(_ int, _ string, named []int) (_ int, err error) { return len(named), nil }

//go:noinline
func dozen(a, b, c, d, e, f, g, h, i, j, k, l int) (m, n, o, p, q, r, s, t, u, v, w, x int) {
	return l, k, j, i, h, g, f, e, d, c, b, a
}

func more() {
	key := new(int)
	background := context.Background()
	with := context.WithValue(background, key, clone("value"))
	canceled, cancel := context.WithCancel(with)
	cancel()
	for _, ctx := range []context.Context{nil, background, context.TODO(), with} {
		if ctx != nil {
			r0, r1 := contexts(ctx, 1)
			record("main.contexts", "ctx n", []any{boxed{ctx}, 1}, "r0 r1", []any{boxed{r0}, boxed{r1}})
		}
	}
	r0, r1 := contexts(canceled, 2)
	record("main.contexts", "ctx n", []any{boxed{canceled}, 2}, "r0 r1", []any{boxed{r0}, boxed{r1}})

	id, name := int64(-7), clone("protobuf")
	inner := &Message{sizeCache: 3, Tags: []string{}, Kind: &Message_Text{clone("oneof")}}
	whole := &Message{unknownFields: []byte("\x08\x96\x01"), Id: &id, Name: &name, Tags: []string{"a", "b"}, Inner: inner}
	record("main.message", "m", []any{whole}, "r0", []any{message(whole)})

	zone := time.FixedZone(clone("test"), 5*3600+1800)
	there, summer := time.Date(2024, 2, 29, 23, 59, 59, 999, zone), time.Date(1700, 1, 1, 0, 0, 0, 0, zone)
	record("main.zoned", "t u", []any{there, summer}, "r0", []any{zoned(there, &summer)})

	var deep Deep
	deep.A.B.C.D.E[1].G = -5
	record("main.nested", "d p", []any{deep, &deep}, "r0", []any{nested(deep, &deep)})

	outer := Outer{Middle{&Base{42}, clone("label")}, true}
	p0, p1 := promoted(outer, &outer)
	record("main.promoted", "o p", []any{outer, &outer}, "r0 r1", []any{p0, p1})

	big := Large{clone("head"), [12]int{1, 2, 3, 11: 12}, []byte("tail")}
	l0, l1 := large(big, 6)
	record("main.large", "l n", []any{big, 6}, "r0 r1", []any{l0, l1})

	u0, u1 := unnamed(3, "three", 1, 2)
	record("main.unnamed", "~p0 ~p1 ~p2", []any{3, "three", []int{1, 2}}, "r0 r1", []any{u0, u1})
	b0, b1 := blank(4, clone("four"), []int{7})
	record("main.blank", "~p0 ~p1 named", []any{4, "four", []int{7}}, "r0 err", []any{b0, boxed{b1}})

	m, n, o, p, q, r, s, t, u, v, w, x := dozen(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	record("main.dozen", "a b c d e f g h i j k l", []any{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, "m n o p q r s t u v w x", []any{m, n, o, p, q, r, s, t, u, v, w, x})

	box := &Box[string]{clone("old")}
	record("main.(*Box[go.shape.string]).Put", "b value", []any{&Box[string]{"old"}, "new"}, "r0", []any{box.Put(clone("new"))})

	method := Point{1, 2}.Add
	keep(&method)
	record("main.Point.Add", "p other", []any{Point{1, 2}, Point{10, 20}}, "r0", []any{method(Point{10, 20})})
}
