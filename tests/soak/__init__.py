"""Long runs: what a single test cannot show. `make soak` runs them whole, `make test` a little of each."""
