package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Shop serves the catalogue over HTTP.
type Shop struct {
	catalogue *Catalogue
	audit     *Audit
}

// Line is a position of an order.
type Line struct {
	Product  int `json:"product"`
	Quantity int `json:"quantity"`
}

// Order is what a client sends to check out.
type Order struct {
	Customer string `json:"customer"`
	Lines    []Line `json:"lines"`
}

// Receipt is the answer to an order.
type Receipt struct {
	Number string `json:"number"`
	Total  int    `json:"total"`
}

// NewShop returns a shop.
func NewShop(catalogue *Catalogue, audit *Audit) *Shop {
	return &Shop{catalogue: catalogue, audit: audit}
}

// Routes returns the handler for all requests.
func (s *Shop) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/product", s.product)
	mux.HandleFunc("/search", s.search)
	mux.HandleFunc("/checkout", s.checkout)
	return s.recovering(mux)
}

// recovering turns a panic of a handler into an answer.
func (s *Shop) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if reason := recover(); reason != nil {
				s.audit.Note("panic", fmt.Sprint(reason))
				respond(w, http.StatusInternalServerError, map[string]string{"error": "internal"})
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (s *Shop) product(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.URL.Query().Get("id"))
	if err != nil {
		respond(w, http.StatusBadRequest, map[string]string{"error": "bad id"})
		return
	}
	product, err := s.catalogue.Get(id)
	if errors.Is(err, ErrUnknownProduct) {
		respond(w, http.StatusNotFound, map[string]string{"error": err.Error()})
		return
	}
	respond(w, http.StatusOK, product)
}

func (s *Shop) search(w http.ResponseWriter, r *http.Request) {
	respond(w, http.StatusOK, s.catalogue.Search(r.URL.Query().Get("q"), 10))
}

func (s *Shop) checkout(w http.ResponseWriter, r *http.Request) {
	var order Order
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&order); err != nil {
		respond(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	receipt, err := s.place(&order)
	if err != nil {
		respond(w, http.StatusConflict, map[string]string{"error": err.Error()})
		return
	}
	s.audit.Note("order", receipt.Number)
	respond(w, http.StatusOK, receipt)
}

// place reserves and prices an order.
func (s *Shop) place(order *Order) (Receipt, error) {
	for _, line := range order.Lines {
		if err := s.catalogue.Take(line.Product, line.Quantity); err != nil {
			return Receipt{}, err
		}
	}
	total, err := s.price(order.Lines)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Number: sign(order, total), Total: total}, nil
}

// price adds the lines up, with a discount that depends on how many there are; an order without lines panics.
func (s *Shop) price(lines []Line) (int, error) {
	total := 0
	for _, line := range lines {
		product, err := s.catalogue.Get(line.Product)
		if err != nil {
			return 0, err
		}
		total += product.Price * line.Quantity
	}
	return total - discount(total, total/len(lines)), nil
}

//go:noinline
func discount(total, average int) int {
	if average > 5000 {
		return total / 10
	}
	return 0
}

// sign makes a receipt number that is dear to forge.
func sign(order *Order, total int) string {
	digest := sha256.Sum256([]byte(fmt.Sprint(order.Customer, total)))
	for i := 0; i < 200*len(order.Lines); i++ {
		digest = sha256.Sum256(digest[:])
	}
	return hex.EncodeToString(digest[:8])
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		return // the client went away
	}
}

// Audit counts what happened, by kind.
type Audit struct {
	mutex  sync.Mutex
	out    io.Writer
	counts map[string]int
	last   time.Time
}

// NewAudit returns an audit log.
func NewAudit(out io.Writer) *Audit {
	return &Audit{out: out, counts: map[string]int{}}
}

// Note notes an event.
func (a *Audit) Note(kind, text string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.counts[kind]++
	a.last = time.Now()
	if len(text) == 0 {
		fmt.Fprintln(a.out, "empty note of", kind)
	}
}
