package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
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
		if result.Items, err = countItems(body.Bytes()); err != nil {
			return err
		}
		if *expect >= 0 && result.Items != *expect {
			return fmt.Errorf("GET %s: %d items instead of %d", *path, result.Items, *expect)
		}
	}
	return printResult(result)
}

// countItems counts the items of a list in JSON, or in Kubernetes protobuf: "k8s\0", then Unknown{raw = 2}, and in it the
// List{items = 2}.
func countItems(body []byte) (int, error) {
	raw, isProtobuf := bytes.CutPrefix(body, []byte("k8s\x00"))
	if !isProtobuf {
		var list struct{ Items []json.RawMessage }
		err := json.Unmarshal(body, &list)
		return len(list.Items), err
	}
	lists, err := fieldsNumbered2(raw)
	if err != nil || len(lists) != 1 {
		return 0, fmt.Errorf("no protobuf list in %d bytes: %v", len(body), err)
	}
	items, err := fieldsNumbered2(lists[0])
	return len(items), err
}

func fieldsNumbered2(message []byte) ([][]byte, error) {
	var fields [][]byte
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		length, m := binary.Uvarint(message[max(n, 0):])
		if n <= 0 || m <= 0 || tag&7 != 2 || length > uint64(len(message)-n-m) {
			return nil, fmt.Errorf("protobuf field cannot be read")
		}
		value := message[n+m : n+m+int(length)]
		message = message[n+m+int(length):]
		if tag>>3 == 2 {
			fields = append(fields, value)
		}
	}
	return fields, nil
}
