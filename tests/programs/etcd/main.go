// Etcd locks a few mutexes over a channel.
package main

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/client/v3/concurrency"
)

func main() {
	done := make(chan error, 1)
	for i := 0; i < 3; i++ {
		mutex := concurrency.New(int64(100+i), fmt.Sprint("lock-", i))
		done <- mutex.Lock(context.Background())
		<-done
	}
}
