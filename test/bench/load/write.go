package main

import (
	"errors"
	"flag"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

type writeResult struct {
	Writes int `json:"writes"`
	Errors int `json:"errors"`
	percentiles
}

// runWrite updates one object at a rate, each time with the next mark. A write's delay counts from when it was due, so that
// a stall shows in every write that it held up and not only in the one that hit it.
func runWrite(args []string) error {
	flags := flag.NewFlagSet("write", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	path := flags.String("path", "", "an object that exists")
	rate := flags.Float64("rate", 10, "updates per second")
	count := flags.Int("count", 0, "how many updates; 0: until a line comes on standard input")
	_ = flags.Parse(args)

	client, err := server.newClient()
	if err != nil {
		return err
	}
	current, err := server.exchange(client, http.MethodGet, *path, nil)
	if err != nil {
		return err
	}
	awaitStart()

	var result writeResult
	var delays []time.Duration
	var stop atomic.Bool
	if *count == 0 {
		*count = math.MaxInt
		go func() {
			awaitLine()
			stop.Store(true)
		}()
	}
	interval := time.Duration(float64(time.Second) / *rate)
	started := time.Now()
	for sequence := 1; sequence <= *count && !stop.Load(); sequence++ {
		due := started.Add(time.Duration(sequence-1) * interval)
		time.Sleep(time.Until(due))
		annotate(current, formatMark(time.Now(), sequence))
		next, err := server.exchange(client, http.MethodPut, *path, current)
		if err != nil {
			result.Errors++
			if next, err = server.exchange(client, http.MethodGet, *path, nil); err != nil {
				if errors.Is(err, errNotFound) {
					return err
				}
				continue
			}
		} else {
			delays = append(delays, time.Since(due))
		}
		current = next
	}
	result.Writes = len(delays)
	result.percentiles = summarize(delays)
	return printResult(result)
}

func annotate(item object, mark string) {
	metadata := item["metadata"].(object)
	annotations, _ := metadata["annotations"].(object)
	if annotations == nil {
		annotations = object{}
		metadata["annotations"] = annotations
	}
	annotations[markAnnotation] = mark
}
