// Packets is a service that takes packets of telemetry and forwards them as JSON, with clients of its own for the
// demonstration: packets -for 3s. Built with -tags after it uses another JSON library.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"sync"
	"time"
)

// Envelope is what leaves the service for each packet that comes in.
type Envelope struct {
	Sequence int               `json:"sequence"`
	Received time.Time         `json:"received"`
	Source   string            `json:"source"`
	Labels   map[string]string `json:"labels"`
	Samples  []Sample          `json:"samples"`
	Text     string            `json:"text"`
}

// Sample is one measurement.
type Sample struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// Serialize turns a packet into the JSON that is forwarded.
//
//go:noinline
func Serialize(b []byte) ([]byte, error) {
	samples := make([]Sample, 0, len(b)/64)
	for at := 0; at+64 <= len(b); at += 64 {
		samples = append(samples, Sample{Name: string(b[at : at+16]), Value: float64(b[at]) / 3, Unit: "ms"})
	}
	return encode(Envelope{
		Sequence: len(b),
		Received: time.Now(),
		Source:   "edge-7",
		Labels:   map[string]string{"site": "north", "rack": "12", "kind": "telemetry"},
		Samples:  samples,
		Text:     string(b),
	})
}

func forward(w http.ResponseWriter, r *http.Request) {
	packet, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out, err := Serialize(packet)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(out); err != nil {
		log.Print(err)
	}
}

// client sends packets of 0 to 8 KB until the time is over.
func client(url string, seed int64, until time.Time) (sent int) {
	random := rand.New(rand.NewSource(seed))
	body := make([]byte, 8<<10)
	for at := range body {
		body[at] = "abcdefghijklmnopqrstuvwxyz \"\n<&"[random.Intn(31)]
	}
	for time.Now().Before(until) {
		answer, err := http.Post(url, "application/octet-stream", bytes.NewReader(body[:random.Intn(len(body))]))
		if err != nil {
			log.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			log.Fatal(err)
		}
		answer.Body.Close()
		sent++
	}
	return sent
}

func main() {
	duration := flag.Duration("for", 3*time.Second, "how long to run")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /packets", forward)
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	url := fmt.Sprintf("http://%s/packets", listener.Addr())
	until := time.Now().Add(*duration)
	var clients sync.WaitGroup
	var lock sync.Mutex
	total := 0
	for seed := range 2 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			sent := client(url, int64(seed), until)
			lock.Lock()
			total += sent
			lock.Unlock()
		}()
	}
	clients.Wait()
	fmt.Println("packets:", total, "serialised")
}
