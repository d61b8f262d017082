package main

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"sync"
)

// Product is something one can buy; prices are in cents.
type Product struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Price int    `json:"price"`
	Stock int    `json:"stock"`
}

// ErrUnknownProduct is returned for an id that the catalogue does not have.
var ErrUnknownProduct = errors.New("no such product")

// Catalogue is the shop's stock; safe for use by several goroutines.
type Catalogue struct {
	mutex    sync.RWMutex
	products map[int]*Product
}

var adjectives = []string{"small", "green", "round", "quiet", "heavy", "bright", "soft", "plain"}
var nouns = []string{"lamp", "kettle", "chair", "clock", "basket", "ladder", "mirror", "drawer"}

// NewCatalogue makes n products up.
func NewCatalogue(n int) *Catalogue {
	catalogue := &Catalogue{products: make(map[int]*Product, n)}
	for id := 1; id <= n; id++ {
		name := fmt.Sprintf("%s %s %d", adjectives[id%len(adjectives)], nouns[id/3%len(nouns)], id)
		catalogue.products[id] = &Product{ID: id, Name: name, Price: 100 + id*37%9900, Stock: 1000}
	}
	return catalogue
}

// Get returns a copy of a product.
func (c *Catalogue) Get(id int) (Product, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	product, ok := c.products[id]
	if !ok {
		return Product{}, fmt.Errorf("product %d: %w", id, ErrUnknownProduct)
	}
	return *product, nil
}

// Search returns the best matches for some words, best first.
func (c *Catalogue) Search(words string, limit int) []Product {
	wanted := strings.Fields(strings.ToLower(words))
	type hit struct {
		product Product
		score   float64
	}
	c.mutex.RLock()
	hits := make([]hit, 0, 64)
	for _, product := range c.products {
		if score := relevance(product.Name, wanted); score > 0 {
			hits = append(hits, hit{*product, score})
		}
	}
	c.mutex.RUnlock()
	sort.Slice(hits, func(i, j int) bool {
		if hits[i].score != hits[j].score {
			return hits[i].score > hits[j].score
		}
		return hits[i].product.ID < hits[j].product.ID
	})
	found := make([]Product, 0, limit)
	for _, hit := range hits[:min(limit, len(hits))] {
		found = append(found, hit.product)
	}
	return found
}

func relevance(name string, wanted []string) float64 {
	score := 0.0
	for _, word := range wanted {
		if at := strings.Index(name, word); at >= 0 {
			score += 1 / math.Sqrt(float64(at+1))
		}
	}
	return score
}

// Take removes some of a product from the stock.
func (c *Catalogue) Take(id, quantity int) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	product, ok := c.products[id]
	if !ok {
		return fmt.Errorf("product %d: %w", id, ErrUnknownProduct)
	}
	if product.Stock < quantity {
		restock(product)
	}
	product.Stock -= quantity
	return nil
}

// restock fills the shelf again, which takes its time: it recounts everything.
//
//go:noinline
func restock(product *Product) {
	counted := 0
	for i := 0; i < 200_000; i++ {
		counted += i & product.ID & 1
	}
	product.Stock += 1000 + counted&1
}
