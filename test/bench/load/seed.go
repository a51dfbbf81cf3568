package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
)

// runSeed creates ConfigMaps PREFIX-0 to PREFIX-(count-1) of a size in a namespace, with the label bench=LABEL.
func runSeed(args []string) error {
	flags := flag.NewFlagSet("seed", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	namespace := flags.String("namespace", "default", "where")
	prefix := flags.String("prefix", "object", "names")
	label := flags.String("label", "seed", "value of the label bench")
	count := flags.Int("count", 1, "how many")
	size := flags.Int("bytes", 4096, "bytes of data in each")
	parallel := flags.Int("parallel", 16, "requests at a time")
	_ = flags.Parse(args)

	client, err := server.newClient()
	if err != nil {
		return err
	}
	var next atomic.Int64
	err = inParallel(*parallel, func(worker int) error {
		random := rand.New(rand.NewPCG(1, uint64(worker)))
		for index := next.Add(1) - 1; index < int64(*count); index = next.Add(1) - 1 {
			_, err := server.exchange(client, http.MethodPost, "/api/v1/namespaces/"+*namespace+"/configmaps", object{
				"apiVersion": "v1",
				"kind":       "ConfigMap",
				"metadata":   object{"name": fmt.Sprintf("%s-%d", *prefix, index), "labels": object{"bench": *label}},
				"data":       object{"text": words(random, *size)},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return printResult(object{"created": *count})
}

// words is text that neither compresses to nothing nor needs escapes.
func words(random *rand.Rand, size int) string {
	var text strings.Builder
	for text.Len() < size {
		fmt.Fprintf(&text, "%x ", random.Uint64())
	}
	return text.String()[:size]
}
