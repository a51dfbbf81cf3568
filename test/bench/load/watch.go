package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

type watchResult struct {
	Clients int `json:"clients"`
	// Events received by all clients together, and those of --events × clients that never came.
	Received int `json:"received"`
	Missed   int `json:"missed"`
	// Streams that ended before their client had seen the last event.
	Ended int64 `json:"ended"`
	percentiles
}

// runWatch opens watches, all of one collection from the same version, and waits until each has seen the last of the
// marked events that "load write" makes, or until the time is over.
func runWatch(args []string) error {
	flags := flag.NewFlagSet("watch", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	path := flags.String("path", "", "collection")
	count := flags.Int("clients", 1, "how many watches")
	perConnection := flags.Int("per-connection", 100, "watches on one HTTP/2 connection; the API server allows 100")
	events := flags.Int("events", 0, "number of the last event")
	patience := flags.Duration("patience", 10*time.Second, "how long to wait for an event")
	_ = flags.Parse(args)

	connections := make([]*http.Client, (*count+*perConnection-1) / *perConnection)
	for index := range connections {
		client, err := server.newClient()
		if err != nil {
			return err
		}
		connections[index] = client
	}
	version, err := server.startList(connections[0], *path)
	if err != nil {
		return err
	}
	watches := make([]*watch, *count)
	err = inParallel(*count, func(index int) error {
		response, err := server.watchFrom(connections[index / *perConnection], *path, version, 50*time.Minute)
		if err != nil {
			return err
		}
		watches[index] = &watch{body: response.Body, json: server.accept == "json"}
		return nil
	})
	if err != nil {
		return err
	}
	awaitStart()

	result := watchResult{Clients: *count}
	var lastEvent, ended atomic.Int64
	lastEvent.Store(time.Now().UnixNano())
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		_ = inParallel(*count, func(index int) error {
			if err := watches[index].readUntil(*events, &lastEvent); err != nil {
				ended.Add(1)
			}
			return nil
		})
	}()
	giveUpWhenQuiet(finished, &lastEvent, *patience)
	result.Ended = ended.Load()
	for _, watch := range watches {
		watch.body.Close() // ends readers that still wait
	}
	<-finished
	var all []time.Duration
	for _, watch := range watches {
		all = append(all, watch.delays...)
	}
	result.Received = len(all)
	result.Missed = *count**events - len(all)
	result.percentiles = summarize(all)
	return printResult(result)
}

func giveUpWhenQuiet(finished <-chan struct{}, lastEvent *atomic.Int64, patience time.Duration) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-finished:
			return
		case <-ticker.C:
			if time.Since(time.Unix(0, lastEvent.Load())) > patience {
				return
			}
		}
	}
}

type watch struct {
	body   io.ReadCloser
	json   bool
	delays []time.Duration
}

// readUntil reads events up to the numbered one and notes how late each came. An event that comes twice counts once.
func (w *watch) readUntil(last int, lastEvent *atomic.Int64) error {
	reader := bufio.NewReaderSize(w.body, 16<<10)
	var buffer []byte
	seen := 0
	for seen < last {
		event, err := w.next(reader, &buffer)
		if err != nil {
			return err
		}
		at, sequence, marked := findMark(event)
		if !marked || sequence <= seen {
			continue
		}
		now := time.Now()
		w.delays = append(w.delays, now.Sub(at))
		lastEvent.Store(now.UnixNano())
		seen = sequence
	}
	return nil
}

func (w *watch) next(reader *bufio.Reader, buffer *[]byte) ([]byte, error) {
	if w.json {
		line, err := reader.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return nil, fmt.Errorf("an event of more than 16 KiB")
		}
		return line, err
	}
	var header [4]byte
	if _, err := io.ReadFull(reader, header[:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(header[:]))
	if length > cap(*buffer) {
		*buffer = make([]byte, length)
	}
	*buffer = (*buffer)[:length]
	_, err := io.ReadFull(reader, *buffer)
	return *buffer, err
}
