"""Random Go programs of small functions that count, by themselves, who called whom and who returned.

Their bodies are what compilers make exits of: early returns, loops, switches, tails of calls, large frames, defers that
recover. The counters are plain memory writes, so that functions without calls stay without.
"""

import random
from pathlib import Path

_HEAD = """package main

import (
	"encoding/json"
	"os"
	"runtime"
	"sync"
)

const functions = %d

type log struct {
	fuel  int
	Calls [functions + 1][functions]int // by caller (the last one: main) and callee
	Ends  [functions]int                // how often a function that may panic returned
}

var (
	sink    int
	nothing []byte
)

func use(room []byte) { sink += len(room) }
"""

_MAIN = """
func work(l *log, seed int) {
	for i := 0; i < %d; i++ {
		l.fuel = 400
		one(l, seed+i)
	}
}

//go:noinline
func one(l *log, x int) {
	defer func() { recover() }()
	l.Calls[functions][0]++
	f0(x, l)
}

func main() {
	logs := make([]log, %d)
	var done sync.WaitGroup
	for i := range logs {
		done.Add(1)
		go func(i int) {
			defer done.Done()
			work(&logs[i], i*7919)
		}(i)
	}
	done.Wait()
	runtime.KeepAlive(sink)
	json.NewEncoder(os.Stdout).Encode(logs)
}
"""


class _Program:
    def __init__(self, seed: int, functions: int, *, panics: bool, repeats: bool) -> None:
        self._random = random.Random(seed)
        self._functions = functions
        self._panics = panics
        self._values = ["x", "x + 1", "x ^ y", "y", *([] if repeats else ["sink"]), "x * 3", "7"]

    def source(self, goroutines: int, rounds: int) -> str:
        bodies = [self._function(number) for number in range(self._functions)]
        return "\n".join([_HEAD % self._functions, *bodies, _MAIN % (rounds, goroutines)])

    def _function(self, number: int) -> str:
        self._number = number
        self._ends = self._panics and self._random.random() < 0.6
        recovers = self._panics and number and self._random.random() < 0.3
        lines = []
        if recovers:
            end = f"l.Ends[{number}]++; " if self._ends else ""
            lines.append(f"defer func() {{ if recover() != nil {{ {end}y = x }} }}()")
        for _ in range(self._random.randint(0 if number else 3, 4)):
            lines += self._statement(depth=0)
        lines += self._return()
        body = "\n\t".join(lines)
        return f"//go:noinline\nfunc f{number}(x int, l *log) (y int) {{\n\t{body}\n}}\n"

    def _return(self) -> list[str]:
        end = [f"l.Ends[{self._number}]++"] if self._ends else []
        kind = self._random.random()
        if kind < 0.4 and (call := self._call()):
            before, called = call
            return [*before, f"y = {called}", *end, "return y"] if end else [*before, f"return {called}"]
        return [*end, f"return {self._value()}"]

    def _value(self) -> str:
        return self._random.choice(self._values)

    def _condition(self) -> str:
        number = self._random.randint(0, 9)
        return self._random.choice(
            [f"x%{number + 2} == 0", f"x&{number} != 0", f"y > {number}", "x < 0", f"x>>3 < {number}"]
        )

    def _call(self) -> tuple[list[str], str] | None:
        later = range(self._number + 1, self._functions)
        recursive = self._number and self._random.random() < 0.15
        if not later and not recursive:
            return None
        callee = self._number if recursive else self._random.choice(later[:6])
        end = f"l.Ends[{self._number}]++; " if self._ends else ""
        before = [
            "l.fuel--",
            f"if l.fuel < 0 {{ {end}return x }}",
            f"l.Calls[{self._number}][{callee}]++",
        ]
        return before, f"f{callee}(x-{self._random.randint(1, 3)}, l)"

    def _statement(self, depth: int) -> list[str]:
        kind = self._random.random()
        nested: list[str] = (
            [line for _ in range(self._random.randint(1, 2)) for line in self._statement(depth + 1)]
            if depth < 2
            else []
        )
        if (kind < 0.35 or not self._number) and (call := self._call()):
            before, called = call
            return [*before, f"y += {called}"]
        if kind < 0.5 and nested:
            return [
                f"if {self._condition()} {{",
                *nested,
                *(self._return() if self._random.random() < 0.5 else []),
                "}",
            ]
        if kind < 0.6 and nested:
            return [f"for i := 0; i < {self._random.randint(1, 3)}; i++ {{", *nested, "}"]
        if kind < 0.7 and nested:
            cases = [line for value in range(5) for line in (f"case {value}:", f"y += {value * 3 + 1}")]
            return [f"switch x & {self._random.choice([3, 7])} {{", *cases, "default:", *nested, "}"]
        if kind < 0.76:
            return [f"use(make([]byte, {self._random.choice([64, 3000])}))"]
        if kind < 0.8:
            size = self._random.choice([200, 5000])
            return ["{", f"var room [{size}]byte", "use(room[:x&63])", "}"]
        if kind < 0.83:
            return ["runtime.Gosched()"]
        if kind < 0.9 and self._panics:
            fault = self._random.choice(["panic(x)", "y /= x - x", "use(nothing[x&7:])"])
            return [f"if {self._condition()} && x%5 == 1 {{ {fault} }}"]
        return [f"y = {self._value()} + y"]


def write_program(
    folder: Path, seed: int, *, functions: int = 24, panics: bool, goroutines: int = 3, repeats: bool = False
) -> None:
    """Write go.mod and main.go of a program; the same seed gives the same program.

    With `repeats` every run of it makes the same calls, with the same results.
    """
    (folder / "go.mod").write_text("module random\n\ngo 1.21\n")
    source = _Program(seed, functions, panics=panics, repeats=repeats).source(goroutines, rounds=60)
    (folder / "main.go").write_text(source)
