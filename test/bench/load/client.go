package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// target is who is asked, as whom, and in which encoding.
type target struct {
	server, ca, cert, key, accept, protocol string
}

func (t *target) addFlags(flags *flag.FlagSet) {
	flags.StringVar(&t.server, "server", "", "https URL of the API server or of what stands in front of it")
	flags.StringVar(&t.ca, "ca", "", "PEM file that the server's certificate is checked against")
	flags.StringVar(&t.cert, "cert", "", "PEM file of the client certificate")
	flags.StringVar(&t.key, "key", "", "PEM file of its key")
	flags.StringVar(&t.accept, "accept", "protobuf", "json or protobuf")
	flags.StringVar(&t.protocol, "protocol", "h2", "h1 or h2")
}

// acceptHeader is what a kubelet sends for protobuf.
func (t *target) acceptHeader() string {
	if t.accept == "json" {
		return "application/json"
	}
	return "application/vnd.kubernetes.protobuf,application/json"
}

// newClient returns a client with connections of its own: one over HTTP/2, or one per request under way over HTTP/1.1.
// Compression is off: on loopback it would be most of the cost of every variant and hide the rest.
func (t *target) newClient() (*http.Client, error) {
	config, err := tlsConfig(t.ca, t.cert, t.key)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(t.protocol == "h1")
	protocols.SetHTTP2(t.protocol == "h2")
	transport := &http.Transport{TLSClientConfig: config, Protocols: protocols, DisableCompression: true}
	return &http.Client{Transport: transport}, nil
}

func tlsConfig(caFile, certFile, keyFile string) (*tls.Config, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}, nil
}

// open sends a GET and returns the answer with its body unread; any status but 200 is an error.
func (t *target) open(client *http.Client, path string) (*http.Response, error) {
	request, err := http.NewRequest(http.MethodGet, t.server+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", t.acceptHeader())
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return nil, fmt.Errorf("GET %s: %s %s", path, response.Status, body)
	}
	return response, nil
}

// get reads a whole answer and returns its length.
func (t *target) get(client *http.Client, path string) (int64, error) {
	response, err := t.open(client, path)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return io.Copy(io.Discard, response.Body)
}

// warmUp gets the path a number of times. The first tries may fail: a proxy that starts needs a moment.
func (t *target) warmUp(client *http.Client, path string, times int) error {
	var err error
	for attempt, good := 0, 0; good < times; attempt++ {
		if _, err = t.get(client, path); err == nil {
			good++
		} else if attempt >= times+20 {
			return err
		} else {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

type object = map[string]any

var errNotFound = errors.New("not found")

// exchange sends JSON (or nothing) and reads JSON. 404 is errNotFound.
func (t *target) exchange(client *http.Client, method, path string, body object) (object, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, t.server+path, payload)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusNotFound {
		return nil, errNotFound
	}
	if response.StatusCode >= 400 {
		return nil, fmt.Errorf("%s %s: %s %s", method, path, response.Status, text)
	}
	answer := object{}
	return answer, json.Unmarshal(text, &answer)
}

// startList reads a collection as an informer does, in the encoding of its watch, and returns the version to watch from.
func (t *target) startList(client *http.Client, path string) (string, error) {
	response, err := t.open(client, withQuery(path, "limit=500&resourceVersion=0"))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	list, err := readList(body)
	return list.resourceVersion, err
}

// watchFrom opens a watch as an informer does, for whole seconds.
func (t *target) watchFrom(client *http.Client, path, version string, timeout time.Duration) (*http.Response, error) {
	const query = "watch=true&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=%s"
	return t.open(client, withQuery(path, fmt.Sprintf(query, int(timeout.Seconds()), version)))
}

func withQuery(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}
