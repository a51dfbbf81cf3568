// Command load is the far and the near side of the benchmarks: the reverse proxy that the hub is compared with, the target
// behind the tunnel, and the clients. It is Go because the clients of the hub are (kubelet, kube-proxy), and because it must cost much less than
// what it measures.
//
// Every client gets ready (connections open, warmed up), prints the line "ready", waits for a line on standard input, does
// its work, and prints one line of JSON. What the caller reads from /proc between the two lines is then the work alone.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

var commands = map[string]func(args []string) error{
	"proxy":   runProxy,
	"get":     runGet,
	"list":    runList,
	"watch":   runWatch,
	"write":   runWrite,
	"seed":    runSeed,
	"kubelet": runKubelet,

	"services":      runServices,
	"seed-services": runSeedServices,

	"target":     runTarget,
	"delay":      runDelay,
	"streams":    runStreams,
	"first-byte": runFirstByte,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: load proxy|get|list|watch|write|seed|kubelet|services|seed-services|target|delay|streams|first-byte [flags]; -h after one lists its flags")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "load %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

var standardInput = bufio.NewReader(os.Stdin)

// awaitStart says that everything is ready and returns when the caller says go. If the caller is gone, so is this process.
func awaitStart() {
	fmt.Println("ready")
	awaitLine()
}

func awaitLine() {
	if _, err := standardInput.ReadString('\n'); err != nil {
		os.Exit(1)
	}
}

func printResult(result any) error {
	return json.NewEncoder(os.Stdout).Encode(result)
}

// inParallel runs work(0) to work(count-1) at the same time and returns the first error.
func inParallel(count int, work func(index int) error) error {
	var group sync.WaitGroup
	errs := make(chan error, count)
	for index := range count {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := work(index); err != nil {
				errs <- err
			}
		}()
	}
	group.Wait()
	close(errs)
	return <-errs
}
