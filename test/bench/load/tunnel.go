package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The far side of the tunnel's benchmark: sends without end after an 'f', and everything back after an 'e'.
func runTarget([]string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go awaitLine()
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			kind := make([]byte, 1)
			if _, err := io.ReadFull(connection, kind); err != nil {
				return
			}
			if kind[0] == 'e' {
				_, _ = io.Copy(connection, connection)
				return
			}
			chunk := make([]byte, 64<<10)
			for {
				if _, err := connection.Write(chunk); err != nil {
					return
				}
			}
		}()
	}
}

type delayed struct {
	due    time.Time
	buffer *[]byte
	length int
}

// A link on which every byte takes --delay longer, in each direction, however many are on the way.
func runDelay(args []string) error {
	flags := flag.NewFlagSet("delay", flag.ExitOnError)
	to := flags.String("to", "", "HOST:PORT behind the link")
	delay := flags.Duration("delay", 25*time.Millisecond, "one way")
	_ = flags.Parse(args)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go awaitLine()
	// Its own processor time is taken from what it carries.
	buffers := sync.Pool{New: func() any { buffer := make([]byte, 64<<10); return &buffer }}
	carry := func(from, into net.Conn) {
		held := make(chan delayed, 1<<14)
		go func() {
			for each := range held {
				time.Sleep(time.Until(each.due))
				if _, err := into.Write((*each.buffer)[:each.length]); err != nil {
					from.Close()
				}
				buffers.Put(each.buffer)
			}
			into.Close()
		}()
		for {
			buffer := buffers.Get().(*[]byte)
			n, err := from.Read(*buffer)
			if n > 0 {
				held <- delayed{time.Now().Add(*delay), buffer, n}
			}
			if err != nil {
				close(held)
				return
			}
		}
	}
	for {
		near, err := listener.Accept()
		if err != nil {
			return err
		}
		far, err := net.Dial("tcp", *to)
		if err != nil {
			near.Close()
			continue
		}
		go carry(near, far)
		go carry(far, near)
	}
}

// dialTunnel connects to authority, directly if there is no socket, else by CONNECT as kube-apiserver does.
func dialTunnel(socket, authority string) (net.Conn, error) {
	if socket == "" {
		return net.Dial("tcp", authority)
	}
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(connection, "CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", authority)
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != 200 || reader.Buffered() > 0 {
		return nil, fmt.Errorf("%s, %d bytes too early", response.Status, reader.Buffered())
	}
	return connection, nil
}

type streamsResult struct {
	MebibytesPerSecond float64 `json:"mebibytesPerSecond"`
	// What the slowest stream got, and the fastest, by the mean.
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// Reads from --count streams for --seconds, after a second to get going.
func runStreams(args []string) error {
	flags := flag.NewFlagSet("streams", flag.ExitOnError)
	socket := flags.String("socket", "", "the tunnel server's; empty to dial directly")
	authority := flags.String("authority", "", "HOST:PORT")
	count := flags.Int("count", 1, "streams")
	seconds := flags.Float64("seconds", 2, "how long")
	_ = flags.Parse(args)
	counters := make([]atomic.Int64, *count)
	connections := make([]net.Conn, *count)
	for i := range connections {
		connection, err := dialTunnel(*socket, *authority)
		if err != nil {
			return err
		}
		connections[i] = connection
	}
	for i, connection := range connections {
		if _, err := connection.Write([]byte("f")); err != nil {
			return err
		}
		go func() {
			buffer := make([]byte, 256<<10)
			for {
				n, err := connection.Read(buffer)
				counters[i].Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
	time.Sleep(time.Second)
	awaitStart()
	before := make([]int64, *count)
	for i := range counters {
		before[i] = counters[i].Load()
	}
	began := time.Now()
	time.Sleep(time.Duration(*seconds * float64(time.Second)))
	took := time.Since(began).Seconds()
	var total, least, most int64 = 0, 1 << 62, 0
	for i := range counters {
		got := counters[i].Load() - before[i]
		total += got
		least = min(least, got)
		most = max(most, got)
	}
	mean := float64(total) / float64(*count)
	return printResult(streamsResult{float64(total) / (1 << 20) / took, float64(least) / mean, float64(most) / mean})
}

// Time from dialling to the first byte back, --count times, one after the other; beside --stalled streams that are not read.
func runFirstByte(args []string) error {
	flags := flag.NewFlagSet("first-byte", flag.ExitOnError)
	socket := flags.String("socket", "", "the tunnel server's; empty to dial directly")
	authority := flags.String("authority", "", "HOST:PORT")
	count := flags.Int("count", 200, "connections")
	stalled := flags.Int("stalled", 0, "streams that nobody reads")
	_ = flags.Parse(args)
	for range *stalled {
		connection, err := dialTunnel(*socket, *authority)
		if err != nil {
			return err
		}
		if _, err := connection.Write([]byte("f")); err != nil {
			return err
		}
	}
	if *stalled > 0 {
		time.Sleep(2 * time.Second) // until every window is full
	}
	awaitStart()
	var delays []time.Duration
	for range *count {
		began := time.Now()
		connection, err := dialTunnel(*socket, *authority)
		if err != nil {
			return err
		}
		if _, err := connection.Write([]byte("ex")); err != nil {
			return err
		}
		if _, err := io.ReadFull(connection, make([]byte, 1)); err != nil {
			return err
		}
		delays = append(delays, time.Since(began))
		connection.Close()
	}
	return printResult(summarize(delays))
}
