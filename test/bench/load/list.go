package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

type listResult struct {
	// One entry per list.
	TotalMs     []float64 `json:"totalMs"`
	FirstByteMs []float64 `json:"firstByteMs"`
	Bytes       int64     `json:"bytes"`
	Items       int       `json:"items"`
}

// runList reads a collection whole, once or more. "{n}" in the path becomes the number of the list, so that each can be
// another view.
func runList(args []string) error {
	flags := flag.NewFlagSet("list", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	path := flags.String("path", "", "collection, with its query")
	warmPath := flags.String("warm-path", "/api/v1/namespaces/default", "what to get before the start, so that the connection is open")
	count := flags.Int("count", 1, "how many lists, one after the other")
	expect := flags.Int("expect", -1, "how many items each list must have")
	_ = flags.Parse(args)

	client, err := server.newClient()
	if err != nil {
		return err
	}
	if err := server.warmUp(client, *warmPath, 1); err != nil {
		return err
	}
	awaitStart()

	var result listResult
	var body bytes.Buffer
	for number := range *count {
		body.Reset()
		started := time.Now()
		response, err := server.open(client, strings.ReplaceAll(*path, "{n}", fmt.Sprint(number)))
		if err != nil {
			return err
		}
		result.FirstByteMs = append(result.FirstByteMs, milliseconds(time.Since(started)))
		_, err = io.Copy(&body, response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		result.TotalMs = append(result.TotalMs, milliseconds(time.Since(started)))
		result.Bytes = int64(body.Len())
		// A list that is short would be fast: count before believing the time.
		list, err := readList(body.Bytes())
		if err != nil {
			return err
		}
		result.Items = list.items
		if *expect >= 0 && result.Items != *expect {
			return fmt.Errorf("GET %s: %d items instead of %d", *path, result.Items, *expect)
		}
	}
	return printResult(result)
}
