package main

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"funcrec.test/programs/internal/truth"
)

func init() {
	scenarios["exit"] = exit
	scenarios["killed"] = killed
	scenarios["fatal"] = fatal
	scenarios["status"] = status
	scenarios["children"] = children
	scenarios["reexec"] = reexec
}

// stay never returns: it reports that it is there and waits.
//
//go:noinline
func stay(n int, there chan<- int) {
	truth.Enter("main.stay")
	if n > 0 {
		stay(n-1, there)
	}
	there <- n
	select {}
}

// linger puts five goroutines into calls that never end.
func linger() {
	there := make(chan int)
	for i := 0; i < 5; i++ {
		go stay(i, there)
		<-there
	}
}

//go:noinline
func quit(code int) {
	truth.Enter("main.quit")
	truth.Flush()
	os.Exit(code)
}

func exit([]string) {
	linger()
	cleanup(1)
	quit(23)
}

// killed waits to be killed with calls open.
func killed([]string) {
	linger()
	cleanup(1)
	truth.Flush()
	ready()
	forever()
}

// forever waits without the runtime's calling it a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

// doomed panics without anybody to recover.
//
//go:noinline
func doomed(n int) {
	call := truth.Enter("main.doomed")
	if n == 0 {
		truth.Dying()
		truth.Flush()
		panic("nobody recovers this")
	}
	doomed(n - 1)
	call.Return()
}

func fatal([]string) {
	linger()
	cleanup(1)
	doomed(4)
}

// status ends with the given exit status, or with the given signal when it is negative.
func status(args []string) {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	cleanup(1)
	truth.Flush()
	if code < 0 {
		if err := syscall.Kill(os.Getpid(), syscall.Signal(-code)); err != nil {
			panic(err)
		}
		forever()
	}
	os.Exit(code)
}

// children starts several processes of the same program at once.
func children([]string) {
	commands := make([]*exec.Cmd, 5)
	for i := range commands {
		commands[i] = exec.Command("/proc/self/exe", "recursion")
		commands[i].Stderr = os.Stderr
		if err := commands[i].Start(); err != nil {
			panic(err)
		}
	}
	cleanup(len(commands))
	for _, command := range commands {
		if err := command.Wait(); err != nil {
			panic(err)
		}
	}
	truth.Stamp()
}

// reexec replaces itself by itself with a call open, n times: one pid, one file, several lives.
//
//go:noinline
func reborn(n int) {
	truth.Enter("main.reborn")
	cleanup(n)
	truth.Flush()
	args := []string{os.Args[0], "reexec", strconv.Itoa(n - 1)}
	panic(syscall.Exec("/proc/self/exe", args, os.Environ()))
}

func reexec(args []string) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	if n > 0 {
		reborn(n)
	}
	recursion(nil)
}
