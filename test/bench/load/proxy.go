package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// runProxy is what the hub is measured against: Go's standard reverse proxy with mutual TLS and HTTP/2 on both sides, its
// settings as they come. GOMAXPROCS is set by the environment. Ends when standard input does.
func runProxy(args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ExitOnError)
	var upstream target
	upstream.addFlags(flags)
	servingCert := flags.String("serving-cert", "", "PEM file of the serving certificate")
	servingKey := flags.String("serving-key", "", "PEM file of its key")
	_ = flags.Parse(args)
	address, err := url.Parse(upstream.server)
	if err != nil {
		return err
	}
	client, err := upstream.newClient()
	if err != nil {
		return err
	}
	config, err := tlsConfig(upstream.ca, *servingCert, *servingKey)
	if err != nil {
		return err
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, config.RootCAs
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	rewrite := func(request *httputil.ProxyRequest) { request.SetURL(address) }
	proxy := &httputil.ReverseProxy{Rewrite: rewrite, Transport: client.Transport}
	server := &http.Server{Handler: proxy, TLSConfig: config}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	awaitLine()
	return server.Close()
}
