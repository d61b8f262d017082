// Package truth is a program's own log of its calls: what a recording of it must say, written by the program itself.
//
// A logged function begins with `call := truth.Enter("main.f")` and ends with `call.Return()`. Calls that do not return
// are closed by whoever knows how they ended: Recovered, Goexiting or Dying. Flush appends the log, one JSON object a
// call, to the file named by the environment variable TRUTH.
package truth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
)

// Call is one call of a logged function. Times are CLOCK_MONOTONIC in ns, 0 when unknown:
// the entry lies between PrevNs and EnteredNs, the end between LeftNs and NextNs.
type Call struct {
	Pid       int    `json:"pid"`
	Goid      int64  `json:"goid"`
	Seq       int    `json:"seq"`    // position among the goroutine's calls in order of their start
	Parent    int    `json:"parent"` // Seq of the nearest logged caller, -1 for none
	Depth     int    `json:"depth"`
	Func      string `json:"func"`
	State     string `json:"state"`
	Caller    string `json:"caller"`        // physical function that holds the call
	Offset    int    `json:"caller_offset"` // of the return address in it, -1 when unknown
	File      string `json:"file"`
	Line      int    `json:"line"`
	PrevNs    int64  `json:"prev_ns"`
	EnteredNs int64  `json:"entered_ns"`
	LeftNs    int64  `json:"left_ns"`
	NextNs    int64  `json:"next_ns"`
}

type goroutine struct {
	id      int64
	lastNs  int64
	started int
	open    []*Call
	ended   []*Call // still waiting for the stamp that follows their end
}

var (
	mutex      sync.Mutex
	goroutines = map[int64]*goroutine{}
	calls      []*Call
)

// Now reads CLOCK_MONOTONIC, the clock of the recorder.
func Now() int64 {
	var now syscall.Timespec
	const clockMonotonic = 1
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func goid() int64 {
	var buffer [64]byte
	text := bytes.TrimPrefix(buffer[:runtime.Stack(buffer[:], false)], []byte("goroutine "))
	id, err := strconv.ParseInt(string(text[:bytes.IndexByte(text, ' ')]), 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}

// current returns the goroutine's entry, stamped with the time now. The mutex is held.
func current(now int64) *goroutine {
	id := goid()
	g := goroutines[id]
	if g == nil {
		g = &goroutine{id: id}
		goroutines[id] = g
	}
	for _, call := range g.ended {
		call.NextNs = now
	}
	g.ended = g.ended[:0]
	return g
}

func (g *goroutine) push(call *Call, now int64) *Call {
	call.Pid, call.Goid, call.Seq, call.Parent, call.Depth = os.Getpid(), g.id, g.started, -1, len(g.open)
	call.State, call.PrevNs, call.EnteredNs = "open", g.lastNs, now
	if len(g.open) > 0 {
		call.Parent = g.open[len(g.open)-1].Seq
	}
	g.started++
	g.open = append(g.open, call)
	g.lastNs = now
	calls = append(calls, call)
	return call
}

func (g *goroutine) end(ended []*Call, state string, now int64) {
	for _, call := range ended {
		call.State, call.LeftNs = state, now
	}
	g.ended = append(g.ended, ended...)
	g.lastNs = now
}

func framePointer() unsafe.Pointer

// callerOf returns the return address of the innermost call of a function, given by its entry. It follows the saved
// frame pointers, because the Go runtime's own tracebacks leave wrappers out. Pointers, unlike numbers, are corrected
// when the stack moves.
func callerOf(entry uintptr) uintptr {
	for frame := framePointer(); ; frame = *(*unsafe.Pointer)(frame) {
		address := *(*uintptr)(unsafe.Add(frame, 8))
		if runtime.FuncForPC(address-1).Entry() == entry {
			frame = *(*unsafe.Pointer)(frame)
			return *(*uintptr)(unsafe.Add(frame, 8))
		}
	}
}

// place tells where a return address is: the innermost source line, and the physical function with the offset in it.
func place(address uintptr) (file string, line int, function string, offset int) {
	at, _ := runtime.CallersFrames([]uintptr{address}).Next()
	return at.File, at.Line, runtime.FuncForPC(at.Entry).Name(), int(address - at.Entry)
}

// Enter logs the call of the function that calls it; name is its full symbol name.
//
//go:noinline
func Enter(name string) *Call {
	now := Now()
	pc, _, _, _ := runtime.Caller(1)
	file, line, caller, offset := place(callerOf(runtime.FuncForPC(pc).Entry()))
	mutex.Lock()
	defer mutex.Unlock()
	return current(now).push(&Call{Func: name, Caller: caller, Offset: offset, File: file, Line: line}, now)
}

// Before logs a call that the next line of its caller makes, for functions too small to log themselves.
//
//go:noinline
func Before(name string) *Call {
	pc, file, line, _ := runtime.Caller(1)
	mutex.Lock()
	defer mutex.Unlock()
	now := Now()
	g := current(now)
	caller := runtime.FuncForPC(runtime.FuncForPC(pc).Entry()).Name()
	call := g.push(&Call{Func: name, Caller: caller, Offset: -1, File: file, Line: line + 1}, now)
	call.PrevNs, call.EnteredNs = now, 0
	return call
}

// After ends a call begun by Before.
//
//go:noinline
func (call *Call) After() {
	now := Now()
	call.Return()
	call.LeftNs, call.NextNs = 0, now
}

// Return logs that the call is about to return.
//
//go:noinline
func (call *Call) Return() {
	now := Now()
	mutex.Lock()
	defer mutex.Unlock()
	g := current(now)
	last := len(g.open) - 1
	if last < 0 || g.open[last] != call {
		panic(fmt.Sprintf("the truth is confused: %s returns, but is not innermost", call.Func))
	}
	g.open = g.open[:last]
	g.end([]*Call{call}, "returned", now)
}

// Recovered logs, from a deferred function, that call recovers a panic and so returns: everything it called has ended,
// and the deferred function too, when it is logged itself (deferred, else nil), ends by returning.
//
//go:noinline
func (call *Call) Recovered(deferred *Call) { call.finish(deferred, "panicked") }

// ReturnFrom logs, from its deferred function, that call returns together with that function.
//
//go:noinline
func (call *Call) ReturnFrom(deferred *Call) { call.finish(deferred, "confused") }

func (call *Call) finish(deferred *Call, state string) {
	now := Now()
	mutex.Lock()
	defer mutex.Unlock()
	g := current(now)
	at := len(g.open) - 1
	for g.open[at] != call {
		at--
	}
	dead := append([]*Call(nil), g.open[at+1:]...)
	if deferred != nil {
		dead = dead[:len(dead)-1]
		g.end([]*Call{deferred}, "returned", now)
	}
	g.open = g.open[:at]
	g.end(dead, state, now)
	g.end([]*Call{call}, "returned", now)
}

// Goexiting logs, from the goroutine's last deferred function, that it ends by runtime.Goexit.
//
//go:noinline
func Goexiting() { endAll("goexit") }

// Dying logs that the process is about to die of a panic of this goroutine.
//
//go:noinline
func Dying() { endAll("panicked") }

func endAll(state string) {
	now := Now()
	mutex.Lock()
	defer mutex.Unlock()
	g := current(now)
	dead := g.open
	g.open = nil
	g.end(dead, state, now)
}

// Stamp notes the time for this goroutine, which narrows the bounds of the calls before and after.
//
//go:noinline
func Stamp() {
	now := Now()
	mutex.Lock()
	defer mutex.Unlock()
	current(now).lastNs = now
}

// Flush appends what was logged to the file, calls that are open now as `open`.
func Flush() {
	mutex.Lock()
	defer mutex.Unlock()
	sort.SliceStable(calls, func(i, j int) bool {
		if calls[i].Goid != calls[j].Goid {
			return calls[i].Goid < calls[j].Goid
		}
		return calls[i].Seq < calls[j].Seq
	})
	var text bytes.Buffer
	for _, call := range calls {
		line, err := json.Marshal(call)
		if err != nil {
			panic(err)
		}
		text.Write(append(line, '\n'))
	}
	calls = nil
	write(text.Bytes())
}

// Count appends a bare number of calls, for functions that are called too often to log each.
func Count(name string, count int) {
	write([]byte(fmt.Sprintf("{\"func\":%q,\"count\":%d}\n", name, count)))
}

// write appends in one system call, so that processes that share the file do not mix.
func write(text []byte) {
	file, err := os.OpenFile(os.Getenv("TRUTH"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	if _, err := file.Write(text); err != nil {
		panic(err)
	}
	if err := file.Close(); err != nil {
		panic(err)
	}
}
