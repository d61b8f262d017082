// Load asks a web server for a page so many times a second, whether it answers or not, until its standard input ends:
//
//	load URL REQUESTS-PER-SECOND CONNECTIONS
//
// Then it writes a line for each request: when it was due (ns of the wall clock), and how much later its answer was
// there (ns). A request that waits for the one before it has waited since it was due: what a pause costs is not hidden.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type answer struct{ due, took time.Duration }

func main() {
	url := os.Args[1]
	rate, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	connections, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var ended atomic.Bool
	var next atomic.Int64
	answers := make([][]answer, connections)
	begin := time.Now()
	var workers sync.WaitGroup
	for worker := range answers {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for !ended.Load() {
				due := time.Duration(next.Add(1)) * time.Second / time.Duration(rate)
				time.Sleep(due - time.Since(begin))
				ask(client, url)
				answers[worker] = append(answers[worker], answer{due, time.Since(begin) - due})
			}
		}()
	}
	io.Copy(io.Discard, os.Stdin)
	ended.Store(true)
	workers.Wait()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, each := range answers {
		for _, answer := range each {
			fmt.Fprintln(out, begin.UnixNano()+int64(answer.due), int64(answer.took))
		}
	}
}

func ask(client *http.Client, url string) {
	response, err := client.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		log.Fatal(response.Status, err)
	}
}
