package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// runKubelet asks for what kubelet 1.34 asks for with a number of pods, over one HTTP/2 connection in protobuf: list and
// watch of its pods, its node, services, CSI drivers and runtime classes, and of each ConfigMap and Secret that a pod
// refers to by a field selector; its Lease every ten seconds. A watch that ends goes on from the last version seen. A stand-in,
// so that the benchmark needs neither root nor containerd; drills run the real one. Ends when standard input does.
func runKubelet(args []string) error {
	flags := flag.NewFlagSet("kubelet", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	node := flags.String("node", "", "node name")
	lease := flags.String("lease", "", "name of the Lease that is renewed")
	namespace := flags.String("namespace", "default", "where the pods and what they refer to are")
	pods := flags.Int("pods", 30, "pods refer to ConfigMap and Secret pod-0, pod-1, …, and all to kube-root-ca.crt")
	_ = flags.Parse(args)

	client, err := server.newClient()
	if err != nil {
		return err
	}
	inNamespace := "/api/v1/namespaces/" + *namespace
	informers := []string{
		"/api/v1/pods?fieldSelector=spec.nodeName%3D" + *node,
		"/api/v1/nodes?fieldSelector=metadata.name%3D" + *node,
		"/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone",
		"/apis/storage.k8s.io/v1/csidrivers",
		"/apis/node.k8s.io/v1/runtimeclasses",
	}
	objects := []string{inNamespace + "/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt"}
	for pod := range *pods {
		for _, resource := range []string{"configmaps", "secrets"} {
			objects = append(objects, fmt.Sprintf("%s/%s?fieldSelector=metadata.name%%3Dpod-%d", inNamespace, resource, pod))
		}
	}
	for _, path := range informers {
		if err := server.listAndWatch(client, path, 5*time.Minute); err != nil {
			return err
		}
	}
	for _, path := range objects {
		if err := server.listAndWatch(client, path, 30*time.Minute); err != nil {
			return err
		}
	}
	leasePath := "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + *lease
	go server.renewLease(client, leasePath)
	awaitStart()
	awaitLine()
	return printResult(object{"collections": len(informers) + len(objects)})
}

// listAndWatch returns when the first watch stands. Each lasts for minTimeout to twice as long, as a reflector's does.
func (t *target) listAndWatch(client *http.Client, path string, minTimeout time.Duration) error {
	version, err := t.startList(client, path)
	if err != nil {
		return err
	}
	watch := func() (io.ReadCloser, error) {
		timeout := minTimeout + rand.N(minTimeout)
		response, err := t.watchFrom(client, path, version, timeout)
		if err != nil {
			return nil, err
		}
		return response.Body, nil
	}
	body, err := watch()
	if err != nil {
		return err
	}
	go func() {
		for {
			version = lastVersion(body, version)
			for body, err = watch(); err != nil; body, err = watch() {
				time.Sleep(time.Second)
			}
		}
	}()
	return nil
}

// lastVersion reads a watch in protobuf to its end and returns the version of its last event.
func lastVersion(body io.ReadCloser, version string) string {
	defer body.Close()
	var length [4]byte
	for {
		if _, err := io.ReadFull(body, length[:]); err != nil {
			return version
		}
		event := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(body, event); err != nil {
			return version
		}
		if seen, err := eventVersion(event); err == nil {
			version = seen
		}
	}
}

// renewLease does as the kubelet: what the last answer said is sent with a new time, and read again only after a failure.
func (t *target) renewLease(client *http.Client, path string) {
	var lease object
	for ; ; time.Sleep(10 * time.Second) {
		if lease == nil {
			lease, _ = t.exchange(client, http.MethodGet, path, nil)
		}
		if lease == nil {
			continue
		}
		lease["spec"].(object)["renewTime"] = time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
		lease, _ = t.exchange(client, http.MethodPut, path, lease)
	}
}
