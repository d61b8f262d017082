// Workload is the program that the integration tests record: `workload SCENARIO [ARG]...` runs one scenario and logs
// the truth about it. What a recording must show of it is in the log, never in the tests.
package main

import (
	"bufio"
	"fmt"
	"os"

	"funcrec.test/programs/internal/truth"
)

var scenarios = map[string]func(args []string){}

var sink int

func init() {
	scenarios["basics"] = basics
}

// basics runs the scenarios that hold what can differ between builds, in one process.
func basics(args []string) {
	for _, name := range []string{"recursion", "panics", "goexit", "methods", "inlining", "statements"} {
		scenarios[name](args)
		truth.Stamp()
	}
}

func main() {
	scenario := scenarios[os.Args[1]]
	if scenario == nil {
		fmt.Fprintln(os.Stderr, "no such scenario:", os.Args[1])
		os.Exit(64)
	}
	scenario(os.Args[2:])
	truth.Flush()
}

// ready tells whoever started the program that it is where the scenario wants it.
func ready() {
	fmt.Println("ready")
}

// proceed waits for a line on standard input.
func proceed() {
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		fmt.Fprintln(os.Stderr, "standard input ended:", err)
		os.Exit(65)
	}
}

// spend uses the processor for a while without calling anything that is recorded.
func spend(ns int64) {
	for end := truth.Now() + ns; truth.Now() < end; {
	}
}
