package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Load uses the service as several clients would and returns one line about it.
func Load(base string, clients int, length time.Duration, seed int64) string {
	end := time.Now().Add(length)
	counts := make([]map[int]int, clients)
	var wait sync.WaitGroup
	for i := range counts {
		counts[i] = map[int]int{}
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			client := &client{
				base:   base,
				http:   &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second},
				random: rand.New(rand.NewSource(seed + int64(i))),
			}
			for time.Now().Before(end) {
				counts[i][client.step()]++
			}
			client.http.CloseIdleConnections()
		}(i)
	}
	wait.Wait()
	total := map[int]int{}
	for _, count := range counts {
		for status, n := range count {
			total[status] += n
		}
	}
	return fmt.Sprintf("shop: answered by status: %v", total)
}

type client struct {
	base   string
	http   *http.Client
	random *rand.Rand
}

// step sends one request and returns the status of the answer, 0 for none.
func (c *client) step() int {
	switch choice := c.random.Intn(100); {
	case choice < 60:
		return c.get(fmt.Sprintf("/product?id=%d", 1+c.random.Intn(2020)))
	case choice < 75:
		words := adjectives[c.random.Intn(len(adjectives))] + " " + nouns[c.random.Intn(len(nouns))]
		return c.get("/search?q=" + url.QueryEscape(words))
	default:
		return c.order()
	}
}

func (c *client) get(path string) int {
	return finish(c.http.Get(c.base + path))
}

func (c *client) order() int {
	order := Order{Customer: fmt.Sprintf("customer %d", c.random.Intn(50))}
	for i := c.random.Intn(12); i > 0; i-- { // sometimes none at all
		order.Lines = append(order.Lines, Line{Product: 1 + c.random.Intn(2000), Quantity: 1 + c.random.Intn(40)})
	}
	body, err := json.Marshal(order)
	if err != nil {
		return 0
	}
	return finish(c.http.Post(c.base+"/checkout", "application/json", bytes.NewReader(body)))
}

func finish(response *http.Response, err error) int {
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0
	}
	return response.StatusCode
}
