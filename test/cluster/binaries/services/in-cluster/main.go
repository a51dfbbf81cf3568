// in-cluster is what an application in a pod sees: the API by client-go's in-cluster configuration (the address in the
// environment, the projected token, kube-root-ca.crt) and by the name of its Service, and a service by its name. It gets,
// lists and watches ConfigMaps, asks the service, and writes what came of it into a file ten times a second.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// attempts of one kind, in milliseconds since 1970 where a time is meant.
type attempts struct {
	OK        int    `json:"ok"`
	Failed    int    `json:"failed"`
	FirstOK   int64  `json:"firstOk"`
	LastOK    int64  `json:"lastOk"`
	LongestMs int64  `json:"longestMs"` // the longest time from one success to the next
	LastError string `json:"lastError"`
}

type state struct {
	StartedAt int64    `json:"startedAt"`
	Get       attempts `json:"get"`
	List      attempts `json:"list"` // at https://kubernetes.default.svc
	Service   attempts `json:"service"`
	// Which pods answered for the service, by name, and how often.
	Answers map[string]int `json:"answers"`
	// Requests for a watch, whether they were answered or not.
	Watches int `json:"watches"`
	// What the watch has shown: name and the key `value` of each ConfigMap.
	ConfigMaps map[string]string `json:"configMaps"`
	Synced     bool              `json:"synced"`
}

var (
	lock sync.Mutex
	now  = state{Answers: map[string]int{}, ConfigMaps: map[string]string{}}
)

func main() {
	namespace := flag.String("namespace", "", "of the ConfigMaps")
	name := flag.String("configmap", "", "ConfigMap to get")
	service := flag.String("service", "", "URL that is asked")
	file := flag.String("state", "", "file to write")
	flag.Parse()
	now.StartedAt = time.Now().UnixMilli()
	go write(*file)
	go repeat(100*time.Millisecond, &now.Service, func(ctx context.Context) error { return ask(ctx, *service) })

	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return countWatches{next} })
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	byName := rest.CopyConfig(config)
	byName.Host = "https://kubernetes.default.svc"
	clientByName, err := kubernetes.NewForConfig(byName)
	if err != nil {
		log.Fatal(err)
	}
	configMaps := client.CoreV1().ConfigMaps(*namespace)
	go repeat(200*time.Millisecond, &now.Get, func(ctx context.Context) error {
		_, err := configMaps.Get(ctx, *name, metav1.GetOptions{})
		return err
	})
	go repeat(time.Second, &now.List, func(ctx context.Context) error {
		_, err := clientByName.CoreV1().ConfigMaps(*namespace).List(ctx, metav1.ListOptions{})
		return err
	})
	watch(client, *namespace)
	select {}
}

// repeat tries again and again; an attempt that takes longer than five seconds has failed.
func repeat(every time.Duration, result *attempts, try func(context.Context) error) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := try(ctx)
		cancel()
		lock.Lock()
		at := time.Now().UnixMilli()
		if err != nil {
			result.Failed++
			result.LastError = time.Now().Format(time.TimeOnly) + " " + err.Error()
		} else {
			if result.OK > 0 {
				result.LongestMs = max(result.LongestMs, at-result.LastOK)
			} else {
				result.FirstOK = at
			}
			result.OK++
			result.LastOK = at
		}
		lock.Unlock()
		time.Sleep(every)
	}
}

// ask resolves the name and connects anew each time.
func ask(ctx context.Context, url string) error {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return err
	}
	lock.Lock()
	now.Answers[strings.TrimSpace(string(body))]++
	lock.Unlock()
	return nil
}

func watch(client kubernetes.Interface, namespace string) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	keep := func(object any) {
		configMap := object.(*corev1.ConfigMap)
		lock.Lock()
		now.ConfigMaps[configMap.Name] = configMap.Data["value"]
		lock.Unlock()
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    keep,
		UpdateFunc: func(_, object any) { keep(object) },
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			lock.Lock()
			delete(now.ConfigMaps, object.(*corev1.ConfigMap).Name)
			lock.Unlock()
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	factory.Start(context.Background().Done())
	factory.WaitForCacheSync(context.Background().Done())
	lock.Lock()
	now.Synced = true
	lock.Unlock()
}

type countWatches struct{ next http.RoundTripper }

func (c countWatches) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Query().Has("watch") {
		lock.Lock()
		now.Watches++
		lock.Unlock()
	}
	return c.next.RoundTrip(request)
}

// write replaces the file in one step, so that a reader never sees half of it.
func write(file string) {
	for ; ; time.Sleep(100 * time.Millisecond) {
		lock.Lock()
		text, err := json.Marshal(now)
		lock.Unlock()
		if err == nil {
			err = os.WriteFile(file+".new", text, 0o644)
		}
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			log.Print(err)
		}
	}
}
