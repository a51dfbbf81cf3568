package main

import (
	"flag"
	"net/http"
	"sync/atomic"
	"time"
)

type getResult struct {
	Requests   int     `json:"requests"`
	Errors     int64   `json:"errors"`
	Seconds    float64 `json:"seconds"`
	RatePerSec float64 `json:"ratePerSecond"`
	percentiles
}

// runGet asks for one object over a number of connections, one request at a time on each, for a time.
func runGet(args []string) error {
	flags := flag.NewFlagSet("get", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	path := flags.String("path", "", "what to get")
	connections := flags.Int("connections", 1, "how many connections")
	duration := flags.Duration("duration", 3*time.Second, "for how long")
	warm := flags.Int("warm", 20, "requests per connection before the start")
	_ = flags.Parse(args)

	clients := make([]*http.Client, *connections)
	err := inParallel(*connections, func(index int) (err error) {
		if clients[index], err = server.newClient(); err != nil {
			return err
		}
		return server.warmUp(clients[index], *path, *warm)
	})
	if err != nil {
		return err
	}
	awaitStart()

	var errors atomic.Int64
	perConnection := make([][]time.Duration, *connections)
	started := time.Now()
	_ = inParallel(*connections, func(index int) error {
		for time.Since(started) < *duration {
			sent := time.Now()
			if _, err := server.get(clients[index], *path); err != nil {
				errors.Add(1)
				continue
			}
			perConnection[index] = append(perConnection[index], time.Since(sent))
		}
		return nil
	})
	elapsed := time.Since(started).Seconds()
	var all []time.Duration
	for _, delays := range perConnection {
		all = append(all, delays...)
	}
	return printResult(getResult{len(all), errors.Load(), elapsed, float64(len(all)) / elapsed, summarize(all)})
}
