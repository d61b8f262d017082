// Nested makes calls with eight values, as a service has them: numbers, texts, structures, an interface, an error.
package main

import (
	"errors"
	"fmt"
	"time"
)

type Address struct {
	Street string
	Zip    int32
}

type Request struct {
	ID      int64
	Path    string
	Urgent  bool
	Address Address
	Weight  float64
}

type Response struct {
	Code int
	Size int64
}

var errOdd = errors.New("odd identity")

//go:noinline
func serve(req *Request, id int64, name string, tags []string, level any, wait time.Duration) (*Response, error) {
	if id%7 == 0 {
		return nil, errOdd
	}
	return &Response{Code: 200, Size: id * int64(len(name)+len(tags))}, nil
}

func main() {
	for i := range 4000 {
		req := &Request{int64(i), fmt.Sprintf("/orders/%d", i), i%3 == 0, Address{"Main Street", int32(10000 + i)}, float64(i) / 8}
		serve(req, int64(i)*1000003, fmt.Sprintf("customer %d", i%500), []string{"new", "paid"}, i%10, time.Duration(i)*time.Millisecond)
	}
}
