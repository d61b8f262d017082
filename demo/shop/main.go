// Shop is a small web shop: an HTTP JSON service over a catalogue, with carts, prices and an audit log, and a load
// generator in the same program that uses it through real connections. It is here to be recorded; see README.md.
//
//	shop [-listen 127.0.0.1:0] [-clients 4] [-for 5s] [-seed 1]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of the service")
	clients := flag.Int("clients", 4, "clients of the load generator; 0: serve until interrupted")
	length := flag.Duration("for", 5*time.Second, "how long the load lasts")
	seed := flag.Int64("seed", 1, "what the clients' choices depend on")
	flag.Parse()
	if err := run(*listen, *clients, *length, *seed); err != nil {
		log.Fatal(err)
	}
}

func run(address string, clients int, length time.Duration, seed int64) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	shop := NewShop(NewCatalogue(2000), NewAudit(os.Stderr))
	server := &http.Server{Handler: shop.Routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if clients == 0 {
		log.Println("serving on", listener.Addr())
		return <-served
	}
	report := Load(fmt.Sprintf("http://%s", listener.Addr()), clients, length, seed)
	fmt.Println(report)
	if err := server.Shutdown(context.Background()); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
