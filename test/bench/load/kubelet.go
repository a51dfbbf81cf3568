package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"
)

// runKubelet asks for what kubelet 1.34 asks for with a number of pods, over one HTTP/2 connection in protobuf: list and
// watch of its pods, its node, services, CSI drivers and runtime classes, and of each ConfigMap and Secret that a pod
// refers to by a field selector; its Lease every ten seconds. A stand-in, so that the benchmark needs neither root nor
// containerd; drills run the real one. Ends when standard input does.
func runKubelet(args []string) error {
	flags := flag.NewFlagSet("kubelet", flag.ExitOnError)
	var server target
	server.addFlags(flags)
	node := flags.String("node", "", "node name")
	namespace := flags.String("namespace", "default", "where the pods and what they refer to are")
	pods := flags.Int("pods", 30, "pods refer to ConfigMap and Secret pod-0, pod-1, …, and all to kube-root-ca.crt")
	_ = flags.Parse(args)

	client, err := server.newClient()
	if err != nil {
		return err
	}
	inNamespace := "/api/v1/namespaces/" + *namespace
	collections := []string{
		"/api/v1/pods?fieldSelector=spec.nodeName%3D" + *node,
		"/api/v1/nodes?fieldSelector=metadata.name%3D" + *node,
		"/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone",
		"/apis/storage.k8s.io/v1/csidrivers",
		"/apis/node.k8s.io/v1/runtimeclasses",
		inNamespace + "/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt",
	}
	for pod := range *pods {
		for _, resource := range []string{"configmaps", "secrets"} {
			collections = append(collections, fmt.Sprintf("%s/%s?fieldSelector=metadata.name%%3Dpod-%d", inNamespace, resource, pod))
		}
	}
	for _, collection := range collections {
		if err := server.listAndWatch(client, collection); err != nil {
			return err
		}
	}
	leasePath := "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + *node
	go server.renewLease(client, leasePath)
	awaitStart()
	awaitLine()
	return printResult(object{"collections": len(collections)})
}

func (t *target) listAndWatch(client *http.Client, path string) error {
	version, err := t.startList(client, path)
	if err != nil {
		return err
	}
	response, err := t.watchFrom(client, path, version)
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, response.Body) }()
	return nil
}

func (t *target) renewLease(client *http.Client, path string) {
	for ; ; time.Sleep(10 * time.Second) {
		lease, err := t.exchange(client, http.MethodGet, path, nil)
		if err != nil {
			continue // the next renewal tries again, as a kubelet does
		}
		lease["spec"].(object)["renewTime"] = time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
		_, _ = t.exchange(client, http.MethodPut, path, lease)
	}
}
