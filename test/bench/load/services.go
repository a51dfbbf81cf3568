package main

import (
	"flag"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

const slicesPath = "/apis/discovery.k8s.io/v1/endpointslices"
const notHeadless = "labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2Fservice-proxy-name"

// runServices asks for what kube-proxy and CoreDNS of 1.34 ask for beside a kubelet: the services and endpoint slices of the whole
// cluster, each by selectors of its own, over an HTTP/2 connection each. Ends when standard input does.
func runServices(args []string) error {
	flags := flag.NewFlagSet("services", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	node := flags.String("node", "", "node name")
	_ = flags.Parse(args)

	clients := [][]string{
		{
			"/api/v1/services?" + notHeadless,
			slicesPath + "?" + notHeadless,
			"/api/v1/nodes?fieldSelector=metadata.name%3D" + *node,
			"/apis/networking.k8s.io/v1/servicecidrs",
		},
		{"/api/v1/services", slicesPath, "/api/v1/namespaces"},
	}
	for _, paths := range clients {
		client, err := server.newClient()
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := server.listAndWatch(client, path, 5*time.Minute); err != nil {
				return err
			}
		}
	}
	awaitStart()
	awaitLine()
	return printResult(object{"clients": len(clients)})
}

// runSeedServices creates services without selectors in a namespace, and a number of endpoint slices with two endpoints for each.
func runSeedServices(args []string) error {
	flags := flag.NewFlagSet("seed-services", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	namespace := flags.String("namespace", "default", "where")
	count := flags.Int("count", 1, "how many")
	slices := flags.Int("slices", 3, "slices of each")
	parallel := flags.Int("parallel", 16, "requests at a time")
	_ = flags.Parse(args)

	client, err := server.newClient()
	if err != nil {
		return err
	}
	var next atomic.Int64
	err = inParallel(*parallel, func(int) error {
		for index := next.Add(1) - 1; index < int64(*count); index = next.Add(1) - 1 {
			name := fmt.Sprintf("service-%d", index)
			service := object{
				"apiVersion": "v1", "kind": "Service", "metadata": object{"name": name},
				"spec": object{"ports": []object{{"port": 80, "targetPort": 8080}}},
			}
			if _, err := server.exchange(client, http.MethodPost, "/api/v1/namespaces/"+*namespace+"/services", service); err != nil {
				return err
			}
			for slice := range *slices {
				first := (int(index)**slices + slice) * 2
				endpoints := []object{}
				for number := first; number < first+2; number++ {
					endpoints = append(endpoints, object{
						"addresses":  []string{fmt.Sprintf("10.250.%d.%d", number>>8&255, number&255)},
						"conditions": object{"ready": true, "serving": true, "terminating": false},
						"nodeName":   fmt.Sprintf("node-%d", number%100),
						"targetRef":  object{"kind": "Pod", "namespace": *namespace, "name": fmt.Sprintf("%s-%d", name, number)},
					})
				}
				path := "/apis/discovery.k8s.io/v1/namespaces/" + *namespace + "/endpointslices"
				_, err := server.exchange(client, http.MethodPost, path, object{
					"apiVersion":  "discovery.k8s.io/v1",
					"kind":        "EndpointSlice",
					"metadata":    object{"name": fmt.Sprintf("%s-%d", name, slice), "labels": object{"kubernetes.io/service-name": name}},
					"addressType": "IPv4",
					"ports":       []object{{"name": "", "port": 8080, "protocol": "TCP"}},
					"endpoints":   endpoints,
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return printResult(object{"created": *count * (1 + *slices)})
}
