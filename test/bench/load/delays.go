package main

import (
	"math"
	"slices"
	"time"
)

// Delays in milliseconds, as they are printed.
type percentiles struct {
	P50 float64 `json:"p50Ms"`
	P99 float64 `json:"p99Ms"`
	Max float64 `json:"maxMs"`
}

// summarize sorts its argument. Percentiles by nearest rank, so that each is a delay that occurred; zero of nothing.
func summarize(delays []time.Duration) percentiles {
	if len(delays) == 0 {
		return percentiles{}
	}
	slices.Sort(delays)
	at := func(quantile float64) float64 {
		rank := int(math.Ceil(quantile*float64(len(delays)))) - 1
		return milliseconds(delays[max(rank, 0)])
	}
	return percentiles{P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func milliseconds(duration time.Duration) float64 {
	return float64(duration.Microseconds()) / 1000
}
