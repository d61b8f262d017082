// Values calls one function for every kind of value and prints what it passed and got back, one JSON object a line:
// the oracle for recorded values. The encoder here is written with reflect, from the contract alone.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

type Celsius int32

type Point struct{ X, Y int }

type Padded struct {
	A uint8
	B uint64
	C uint8
	_ uint16
	D bool
}

type Inner struct {
	Name string
	Tags []string
}

type Student struct {
	name  string
	age   int
	inner *Inner
	Point
	grades [3]uint16
	empty  struct{}
}

type Node struct {
	Value int
	Next  *Node
}

type Shaper interface{ Area() int }

func (p Point) Area() int { return p.X * p.Y }

func (p *Padded) Area() int { return int(p.B) }

type CodeError struct {
	Code int
	Text string
}

func (e *CodeError) Error() string { return e.Text }

type ValueError struct{ Code int }

func (e ValueError) Error() string { return "value error" }

//go:noinline
func ints(a int8, b int16, c int32, d int64, e int) (int8, int16, int32, int64, int) {
	return a, b, c, d, e
}

//go:noinline
func uints(a uint8, b uint16, c uint32, d uint64, e uintptr) (uint8, uint16, uint32, uint64, uintptr) {
	return a, b, c, d, e
}

//go:noinline
func bools(a, b bool) (x, y bool) { return b, a }

//go:noinline
func text(s string, b []byte) (string, []byte) { return s, b }

//go:noinline
func slices(a []int, b []string, c [][]byte, d []Point) (r []int, s []string) { return a, b }

//go:noinline
func arrays(a [1]int, b [3]uint16, c [0]int) ([1]int, [3]uint16) { return a, b }

//go:noinline
func structs(p Point, q Padded, s Student) (Point, Padded) { return p, q }

//go:noinline
func pointers(p *Point, q *int, s *Student, n *Node) (*Point, *int, *Node) { return p, q, n }

//go:noinline
func maps(m map[string]int, n map[int]*Point) (map[string]int, int) { return m, len(n) }

//go:noinline
func channels(c chan int, f func(int) int, u unsafe.Pointer) (chan int, unsafe.Pointer) { return c, u }

//go:noinline
func interfaces(a any, s Shaper) (any, Shaper) { return a, s }

//go:noinline
func failures(a error, b error) (n int, err error) { return 7, a }

//go:noinline
func times(t time.Time, d time.Duration, ip net.IP) (time.Time, time.Duration, net.IP) {
	return t, d, ip
}

//go:noinline
func named(t Celsius, _ int, u Celsius) (sum Celsius, err error) { return t + u, nil }

//go:noinline
func many(a, b, c, d, e, f, g, h int, s string, i, j int) (r0 int, r1 string, r2 [2]int) {
	return a + j, s, [2]int{i, j}
}

//go:noinline
func floats(a float64, b *float64, n int, s struct {
	F float32
	N int
}) (float64, int) { return a, n }

//go:noinline
func memoryFloats(p *struct {
	F float32
	G float64
	C complex128
}) *float64 {
	return &p.G
}

//go:noinline
func (p *Point) Scale(by int) Point { return Point{p.X * by, p.Y * by} }

//go:noinline
func (s Student) Label(prefix string) string { return prefix + s.name }

//go:noinline
func (s *Student) String() string {
	return s.Label("~")
}

//go:noinline
func generic[T any](a T, n int) T { return a }

//go:noinline
func nothing() {}

//go:noinline
func deferred(n int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("recovered: %v", r)
		}
	}()
	if n > 0 {
		panic("boom")
	}
	return nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "touch" {
		return
	}
	runtime.LockOSThread()
	if len(os.Args) > 1 && os.Args[1] == "hostile" {
		hostile()
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "race" {
		race()
		return
	}
	all()
}

func all() {
	for _, k := range []int64{0, 1, -1, 127, -128, 1<<62 + 12345, -1 << 63} {
		args := []any{int8(k), int16(k), int32(k), k, int(k)}
		a, b, c, d, e := ints(int8(k), int16(k), int32(k), k, int(k))
		record("main.ints", "a b c d e", args, "r0 r1 r2 r3 r4", []any{a, b, c, d, e})
	}
	for _, k := range []uint64{0, 1, 255, 65535, 1<<63 + 1, 1<<64 - 1} {
		a, b, c, d, e := uints(uint8(k), uint16(k), uint32(k), k, uintptr(k))
		record("main.uints", "a b c d e", []any{a, b, c, d, e}, "r0 r1 r2 r3 r4", []any{a, b, c, d, e})
	}
	x, y := bools(true, false)
	record("main.bools", "a b", []any{true, false}, "x y", []any{x, y})

	long := string(make([]byte, 300))
	for _, s := range []string{"", "hello", "h\u00e9llo \u4e16\u754c", "nul\x00 esc\x1b[31m", "bad\xff\xfe", long, "a 'quoted' \"text\"\n", "/api.v1", "/api/v1", "main.F[int]", "a%2eb", "(xT)"} {
		s := clone(s)
		for _, b := range [][]byte{nil, {}, []byte(s)} {
			r, q := text(s, b)
			record("main.text", "s b", []any{s, b}, "r0 r1", []any{r, q})
		}
	}
	numbers := make([]int, 40)
	for i := range numbers {
		numbers[i] = i * i
	}
	words := []string{clone("one"), clone("two"), clone(""), clone("four")}
	for _, n := range []int{0, 1, 16, 17, 40} {
		a, b, c, d := numbers[:n], words[:n%4], [][]byte{[]byte("x"), nil, {}}, []Point{{1, 2}, {3, 4}}
		r, s := slices(a, b, c, d)
		record("main.slices", "a b c d", []any{a, b, c, d}, "r s", []any{r, s})
	}
	var none []int
	r, s := slices(none, nil, nil, nil)
	record("main.slices", "a b c d", []any{none, []string(nil), [][]byte(nil), []Point(nil)}, "r s", []any{r, s})

	one, three := arrays([1]int{5}, [3]uint16{1, 2, 65535}, [0]int{})
	record("main.arrays", "a b c", []any{[1]int{5}, [3]uint16{1, 2, 65535}, [0]int{}}, "r0 r1", []any{one, three})

	student := Student{clone("zhang"), 100, &Inner{clone("inner"), words}, Point{7, 8}, [3]uint16{9, 10, 11}, struct{}{}}
	padded := Padded{A: 200, B: 1 << 60, C: 3, D: true}
	p, q := structs(Point{-1, 2}, padded, student)
	record("main.structs", "p q s", []any{Point{-1, 2}, padded, student}, "r0 r1", []any{p, q})

	number := 42
	list := &Node{1, &Node{2, &Node{3, &Node{4, &Node{5, &Node{6, nil}}}}}}
	ring := &Node{1, nil}
	ring.Next = ring
	pp, qq, nn := pointers(&Point{3, 4}, &number, &student, list)
	record("main.pointers", "p q s n", []any{&Point{3, 4}, &number, &student, list}, "r0 r1 r2", []any{pp, qq, nn})
	pp, qq, nn = pointers(nil, nil, nil, ring)
	record("main.pointers", "p q s n", []any{(*Point)(nil), (*int)(nil), (*Student)(nil), ring}, "r0 r1 r2", []any{pp, qq, nn})

	for _, n := range []int{0, 1, 7, 8, 9, 1000} {
		m, k := map[string]int{}, map[int]*Point{}
		for i := 0; i < n; i++ {
			m[fmt.Sprint(i)], k[i] = i, &Point{i, i}
		}
		r0, r1 := maps(m, k)
		record("main.maps", "m n", []any{m, k}, "r0 r1", []any{r0, r1})
	}
	mm, ml := maps(nil, nil)
	record("main.maps", "m n", []any{map[string]int(nil), map[int]*Point(nil)}, "r0 r1", []any{mm, ml})

	channel, double := make(chan int, 3), func(n int) int { return 2 * n * number }
	channel <- 1
	c0, u0 := channels(channel, double, unsafe.Pointer(&number))
	record("main.channels", "c f u", []any{channel, double, unsafe.Pointer(&number)}, "r0 r1", []any{c0, u0})
	c0, u0 = channels(nil, nil, nil)
	record("main.channels", "c f u", []any{(chan int)(nil), (func(int) int)(nil), unsafe.Pointer(nil)}, "r0 r1", []any{c0, u0})

	for _, a := range []any{nil, 42, clone("boxed"), Point{1, 2}, &Point{3, 4}, &padded, true, int8(-3), []int{1, 2}, map[string]int{"a": 1}, Celsius(-40), 2.5, time.Second, error(&CodeError{9, "nine"}), struct{}{}, [2]string{"x", "y"}} {
		for _, s := range []Shaper{nil, Point{5, 6}, &Point{7, 8}, &padded} {
			r0, r1 := interfaces(a, s)
			record("main.interfaces", "a s", []any{boxed{a}, boxed{s}}, "r0 r1", []any{boxed{r0}, boxed{r1}})
		}
	}

	plain := errors.New(clone("plain failure"))
	wrapped := fmt.Errorf("wrapped: %w", plain)
	twice := fmt.Errorf("twice: %w", wrapped)
	both := fmt.Errorf("both: %w, %w", plain, wrapped)
	_, missing := os.Open("/no/such/file")
	for _, err := range []error{nil, plain, wrapped, twice, both, &CodeError{404, clone("not found")}, ValueError{5}, missing, fs.ErrNotExist, syscall.ENOENT, errors.Join(plain, wrapped)} {
		n, r := failures(err, plain)
		record("main.failures", "a b", []any{boxed{err}, boxed{plain}}, "n err", []any{n, boxed{r}})
	}

	moments := []time.Time{{}, time.Unix(1700000000, 123456789), time.Now(), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1901, 2, 3, 4, 5, 6, 700, time.UTC)}
	for _, t := range moments {
		for _, ip := range []net.IP{nil, net.IPv4(10, 0, 0, 1), net.ParseIP("2001:db8::1")} {
			r0, r1, r2 := times(t, 1500*time.Millisecond, ip)
			record("main.times", "t d ip", []any{t, 1500 * time.Millisecond, ip}, "r0 r1 r2", []any{r0, r1, r2})
		}
	}
	sum, err := named(20, 99, 22)
	record("main.named", "t ~p1 u", []any{Celsius(20), 99, Celsius(22)}, "sum err", []any{sum, boxed{err}})
	m0, m1, m2 := many(1, 2, 3, 4, 5, 6, 7, 8, clone("stack"), 10, 11)
	record("main.many", "a b c d e f g h s i j", []any{1, 2, 3, 4, 5, 6, 7, 8, "stack", 10, 11}, "r0 r1 r2", []any{m0, m1, m2})

	half := 0.5
	mixed := struct {
		F float32
		N int
	}{1.5, 77}
	f0, f1 := floats(2.5, &half, 3, mixed)
	record("main.floats", "a b n s", []any{register(2.5), &half, 3, map[string]any{"F": register(1.5), "N": 77}}, "r0 r1", []any{register(f0), f1})
	inMemory := &struct {
		F float32
		G float64
		C complex128
	}{1.25, 2.5, 3 + 4i}
	g := memoryFloats(inMemory)
	record("main.memoryFloats", "p", []any{inMemory}, "r0", []any{g})

	point := &Point{2, 3}
	scaled := point.Scale(10)
	record("main.(*Point).Scale", "p by", []any{point, 10}, "r0", []any{scaled})
	label := student.Label(clone("<<"))
	record("main.Student.Label", "s prefix", []any{student, "<<"}, "r0", []any{label})

	whole := student.String()
	record("main.Student.Label", "s prefix", []any{student, "~"}, "r0", []any{whole})
	record("main.(*Student).String", "s", []any{&student}, "r0", []any{whole})

	gi := generic(5, 1)
	record("main.generic[go.shape.int]", "a n", []any{5, 1}, "r0", []any{gi})
	gs := generic(clone("shape"), 2)
	record("main.generic[go.shape.string]", "a n", []any{"shape", 2}, "r0", []any{gs})

	gp := generic(&Point{8, 9}, 3)
	record("main.generic[go.shape.*uint8]", "a n", []any{&Point{8, 9}, 3}, "r0", []any{unsafe.Pointer(gp)})
	gn := generic(&number, 4)
	record("main.generic[go.shape.*uint8]", "a n", []any{&number, 4}, "r0", []any{unsafe.Pointer(gn)})

	for i := 0; i < 3; i++ {
		captured := i * 10
		add := func(n int) int { captured += n; return captured }
		keep(&add)
		before := captured
		got := add(5)
		record("main.all.func2", "n", []any{5}, "r0", []any{got})
		_ = before
	}
	nothing()
	record("main.nothing", "", nil, "", nil)
	record("main.deferred", "n", []any{0}, "err", []any{boxed{deferred(0)}})
	record("main.deferred", "n", []any{1}, "err", []any{boxed{deferred(1)}})
	more()
	functionValues()
}

var kept any

//go:noinline
func keep(v any) { kept = v }

// clone puts text on the heap: a constant may lie on a page that was never read.
func clone(s string) string { return string(append([]byte(nil), s...)) }
