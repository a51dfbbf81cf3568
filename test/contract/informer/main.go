// Command informer is a client of the hub as most clients are: client-go's reflector, in JSON and in protobuf, over a whole
// collection and over a part of it. It writes down whatever it is told that cannot be true, and in the end what it holds.
//
// It prints the line "synced" when all its reflectors have synced, waits for a line with the name of an object on standard
// input, waits until every reflector has that object, and prints one line of JSON. Whether it lists or begins with a
// watch is client-go's feature WatchListClient (KUBE_FEATURE_WatchListClient).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

var (
	server    = flag.String("server", "", "URL of the hub")
	caFile    = flag.String("ca", "", "the hub's certificate authority")
	certFile  = flag.String("cert", "", "client certificate")
	keyFile   = flag.String("key", "", "its key")
	namespace = flag.String("namespace", "default", "whose configmaps are watched")
	selector  = flag.String("selector", "", "labels of the part of the collection")
	patience  = flag.Duration("patience", 2*time.Minute, "how long to wait for the first sync, and for the last object")
)

var contentTypes = map[string]string{
	"json":     "application/json",
	"protobuf": "application/vnd.kubernetes.protobuf",
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "informer:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var records []*record
	for encoding, contentType := range contentTypes {
		client, codec, err := clientFor(contentType)
		if err != nil {
			return err
		}
		for _, labels := range []string{"", *selector} {
			kept := newRecord(encoding, labels)
			records = append(records, kept)
			reflector := cache.NewReflector(kept.counting(client, codec), &corev1.ConfigMap{}, kept, 0)
			go reflector.RunWithContext(ctx)
		}
	}
	if err := waitFor(records, func(r *record) bool { return r.hasSynced() }, "the first sync"); err != nil {
		return err
	}
	fmt.Println("synced")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return nil // whoever started this is gone
	}
	last := strings.TrimSpace(line)
	err = waitFor(records, func(r *record) bool { return r.has(last) }, "the object "+last)
	results := make([]result, 0, len(records))
	for _, r := range records {
		results = append(results, r.result())
	}
	if encodeErr := json.NewEncoder(os.Stdout).Encode(results); encodeErr != nil {
		return encodeErr
	}
	return err
}

// clientFor is a client of the core API alone: the whole clientset would take minutes to build.
func clientFor(contentType string) (*rest.RESTClient, runtime.ParameterCodec, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, nil, err
	}
	client, err := rest.RESTClientFor(&rest.Config{
		Host:            *server,
		APIPath:         "/api",
		TLSClientConfig: rest.TLSClientConfig{CAFile: *caFile, CertFile: *certFile, KeyFile: *keyFile},
		ContentConfig: rest.ContentConfig{
			ContentType:          contentType,
			AcceptContentTypes:   contentType + ",application/json",
			GroupVersion:         &corev1.SchemeGroupVersion,
			NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion(),
		},
		QPS: -1,
	})
	return client, runtime.NewParameterCodec(scheme), err
}

// counting lists and watches the configmaps of the record, and counts how.
func (r *record) counting(client *rest.RESTClient, codec runtime.ParameterCodec) cache.ListerWatcher {
	request := func(options *metav1.ListOptions) *rest.Request {
		options.LabelSelector = r.labels
		return client.Get().Namespace(*namespace).Resource("configmaps").VersionedParams(options, codec)
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			r.count(&r.lists)
			list := &corev1.ConfigMapList{}
			return list, request(&options).Do(ctx).Into(list)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			if options.SendInitialEvents != nil && *options.SendInitialEvents {
				r.count(&r.watchLists)
			}
			options.Watch = true
			return request(&options).Watch(ctx)
		},
	}
}

func waitFor(records []*record, holds func(*record) bool, what string) error {
	deadline := time.Now().Add(*patience)
	for _, r := range records {
		for !holds(r) {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s %q: not within %s: %s", r.encoding, r.labels, *patience, what)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}
