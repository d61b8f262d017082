// Functions that leave early, late and by several ways; each call is written to standard output with what it returned.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

type item struct {
	N    int
	Name string
	next *item
}

type object = map[string]any

var (
	errNone = errors.New("none")
	errOdd  = errors.New("odd")
	names   = []string{"zero", "one", "two", "three"}
	items   = []item{{0, "a", nil}, {1, "b", nil}, {2, "c", nil}}
	zero    item
	total   atomic.Int64
	sink    int
)

//go:noinline
func help(n int) int { sink += n; return n * 3 }

//go:noinline
func early(n int) int {
	if n < 0 {
		return -1
	}
	if n == 0 {
		return 7
	}
	if n > 1000 {
		return 1 << 40
	}
	return n*2 + help(n)
}

//go:noinline
func sums(a, b int) (int, int) {
	if a > b {
		return a + b, b
	}
	if a == b {
		return a<<3 + 5, -a
	}
	return b - 3, a*4 + b
}

//go:noinline
func text(n int) string {
	if n < 0 {
		return "negative"
	}
	if n < len(names) {
		return names[n]
	}
	if n > 100 {
		return ""
	}
	return strconv.Itoa(n)
}

//go:noinline
func find(n int) (*item, error) {
	if n < 0 {
		return nil, errNone
	}
	if n < len(items) {
		return &items[n], nil
	}
	return &zero, fmt.Errorf("no item %d", n)
}

//go:noinline
func three(n int) (int, string, error) {
	if n == 1 {
		return 1, "one", nil
	}
	if n&1 == 1 {
		return n, "", errOdd
	}
	return help(n), names[n&3], nil
}

//go:noinline
func named(n int) (v int, err error) {
	defer func() {
		if n == 3 {
			err = errOdd
		}
		v++
	}()
	if n > 4 {
		return n, errNone
	}
	v = help(n)
	return
}

//go:noinline
func caught(n int) (v int, err error) {
	defer func() {
		if got := recover(); got != nil {
			v, err = n, errOdd
		}
	}()
	if n > 1 {
		return len(names[n]), nil
	}
	return n, nil
}

//go:noinline
func bytes1(n uint8) uint8 {
	if n > 100 {
		return n + 200
	}
	if n == 3 {
		return 255
	}
	return n >> 1
}

//go:noinline
func bytes2(n uint16, deep bool) (uint16, bool) {
	if deep {
		return n + 65000, n > 3
	}
	if n == 9 {
		return n, false
	}
	return n * 3, true
}

//go:noinline
func signed(n int8, m int32) (int8, int64, int32) {
	if n < 0 {
		return -n, int64(m), m + 1
	}
	if m < 0 {
		return n, int64(m) - 1, -1
	}
	return n - 100, 5, int32(n)
}

//go:noinline
func yes(n int) bool {
	if n < 0 {
		return false
	}
	if n == 5 {
		return true
	}
	return n%3 == 1
}

//go:noinline
func (c *item) get() int {
	if c == nil {
		return -1
	}
	return c.N
}

//go:noinline
func counted(n int) int64 {
	if n < 0 {
		return -1
	}
	if n == 3 {
		return 4
	}
	return total.Load()
}

//go:noinline
func anything(n int) any {
	if n == 0 {
		return nil
	}
	if n == 1 {
		return "text"
	}
	if n == 2 {
		return &items[1]
	}
	return n
}

//go:noinline
func follow(p *item) *item {
	if p == nil {
		return &zero
	}
	return p.next
}

//go:noinline
func cut(b []byte, n int) []byte {
	if n > len(b) {
		return nil
	}
	return b[:n]
}

//go:noinline
func onStack(n int) (r [3]int, ok bool) {
	if n < 0 {
		return [3]int{-1, n, 1}, false
	}
	r[n%3] = n
	return r, true
}

//go:noinline
func many(n int) (a, b, c, d, e, f, g, h, i, j, k int) {
	if n < 0 {
		return -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11
	}
	return n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9, help(n)
}

//go:noinline
func change(p *item, n int) *item {
	if n == 0 {
		return p
	}
	p.N = n
	return p
}

//go:noinline
func search(b []int, n int) (at int, found bool) {
	for i, each := range b {
		if each == n {
			return i, true
		}
		sink += help(each)
	}
	return -1, false
}

//go:noinline
func faults(p *item, n int) int {
	if n == 0 {
		return 1
	}
	return p.N + n
}

func main() {
	out := json.NewEncoder(os.Stdout)
	show := func(name string, results ...any) {
		named := object{}
		for at := 0; at < len(results); at += 2 {
			named[results[at].(string)] = plain(results[at+1])
		}
		out.Encode(object{"func": "main." + name, "results": named})
	}
	list := &item{1, "first", &item{2, "second", nil}}
	for n := -3; n < 12; n++ {
		total.Add(1)
		show("early", "r0", early(n))
		show("early", "r0", early(n*500))
		a, b := sums(n, 4)
		show("sums", "r0", a, "r1", b)
		show("text", "r0", text(n))
		show("text", "r0", text(n*50))
		i, err := find(n)
		show("find", "r0", i, "r1", err)
		c, s, err := three(n)
		show("three", "r0", c, "r1", s, "r2", err)
		v, err := named(n)
		show("named", "v", v, "err", err)
		v, err = caught(n)
		show("caught", "v", v, "err", err)
		show("bytes1", "r0", bytes1(uint8(n*20)))
		show("bytes1", "r0", bytes1(uint8(n)))
		w, x := bytes2(uint16(n), n&1 == 0)
		show("bytes2", "r0", w, "r1", x)
		d, e, f := signed(int8(n), int32(n-4)*1000)
		show("signed", "r0", d, "r1", e, "r2", f)
		show("yes", "r0", yes(n))
		show("(*item).get", "r0", list.get())
		show("counted", "r0", counted(n))
		show("anything", "r0", dynamic(anything(n)))
		show("follow", "r0", follow(list))
		list = follow(list)
		show("follow", "r0", list)
		if list == nil {
			list = &item{n, strconv.Itoa(n), &items[2]}
		}
		show("cut", "r0", cut([]byte("bytes"), n&7))
		r, ok := onStack(n)
		show("onStack", "r", r, "ok", ok)
		m := [11]int{}
		m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], m[9], m[10] = many(n)
		results := []any{}
		for at, each := range m {
			results = append(results, "abcdefghijk"[at:at+1], each)
		}
		show("many", results...)
		show("change", "r0", change(&item{N: 9}, n&3))
		at, found := search([]int{4, 2, 7, 1}, n)
		show("search", "at", at, "found", found)
		show("faults", "r0", faults(&items[1], n&1))
	}
	for n := 0; n < 20; n++ {
		func() {
			defer func() { recover() }()
			show("faults", "r0", faults(nil, n&1))
		}()
	}
}

func dynamic(value any) any {
	if value == nil {
		return nil
	}
	return object{"$type": fmt.Sprintf("%T", value), "value": plain(value)}
}

// As the report shows it.
func plain(value any) any {
	switch value := value.(type) {
	case *item:
		if value == nil {
			return nil
		}
		return object{"N": value.N, "Name": value.Name, "next": plain(value.next)}
	case error:
		text := any(value.Error())
		return object{"$type": fmt.Sprintf("%T", value), "value": text}
	case []byte:
		if value == nil {
			return nil
		}
		return object{"$hex": fmt.Sprintf("%x", value)}
	}
	return value
}
