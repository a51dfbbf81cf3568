// hollow-nodes runs the kubelets of many nodes in one process, as kubemark does for one: the kubelet's own code, over a container
// runtime that only pretends. Usage: hollow-nodes FOLDER, with one NAME.kubeconfig for each node, which has to exist already.
// Images whose tag is `bad` cannot be pulled.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	clientset "k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	fakeruntime "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/metrics/collectors"
	probetest "k8s.io/kubernetes/pkg/kubelet/prober/testing"
	"k8s.io/kubernetes/pkg/kubemark"
)

const suffix = ".kubeconfig"

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: hollow-nodes FOLDER")
	}
	folder := os.Args[1]
	files, err := filepath.Glob(filepath.Join(folder, "*"+suffix))
	if err != nil || len(files) == 0 {
		log.Fatalf("no *%s in %s: %v", suffix, folder, err)
	}
	// Else each would make the host's /var/log/containers.
	kubelet.ContainerLogsDir = filepath.Join(folder, "containers")
	prometheus.DefaultRegisterer = nowhere{}
	for _, file := range files {
		if err := start(file); err != nil {
			log.Fatalf("%s: %v", file, err)
		}
		makeRoom()
	}
	select {}
}

func start(kubeconfig string) error {
	name := strings.TrimSuffix(filepath.Base(kubeconfig), suffix)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.UserAgent = "hollow-kubelet"
	config.QPS, config.Burst = 10, 20
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	flags, settings := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{NodeName: name, MaxPods: 110})
	// Addresses stay as they are on the Node: this host's would be those of all of them.
	flags.CloudProvider = "external"
	// Nobody calls these kubelets, and a host has each port once.
	settings.EnableServer = false
	settings.StaticPodPath = ""
	// RunKubelet sets it for the whole process.
	settings.MaxOpenFiles = 1 << 16
	heartbeats := restclient.CopyConfig(config)
	heartbeats.Timeout = settings.NodeStatusUpdateFrequency.Duration
	heartbeats.QPS = -1
	heartbeatClient, err := clientset.NewForConfig(heartbeats)
	if err != nil {
		return err
	}
	hollow := kubemark.NewHollowKubelet(
		flags, settings, client, heartbeatClient,
		&testing.Fake{NodeName: name},
		registry{fakeruntime.NewFakeImageService()}, newRuntime(),
		cm.NewStubContainerManager(),
	)
	hollow.KubeletDeps.ProbeManager = probes{}
	// Never returns; what it cannot do ends the process.
	go hollow.Run(context.Background())
	return nil
}

func newRuntime() *fakeruntime.FakeRuntimeService {
	runtime := fakeruntime.NewFakeRuntimeService()
	runtime.FakeStatus = &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true},
		{Type: runtimeapi.NetworkReady, Status: true},
	}}
	return runtime
}

// makeRoom waits until the kubelet that was started has registered the collectors of which a process can have one each, and takes
// them out again for the next one: nobody reads these metrics.
func makeRoom() {
	twins := []metrics.StableCollector{collectors.NewVolumeStatsCollector(nil), collectors.NewLogMetricsCollector(nil)}
	metrics.NewKubeRegistry().CustomMustRegister(twins...)
	for _, twin := range twins {
		for !legacyregistry.Registerer().Unregister(twin) {
			time.Sleep(time.Millisecond)
		}
	}
}

// nowhere registers nothing: each kubelet would register its own under the same names.
type nowhere struct{}

func (nowhere) Register(prometheus.Collector) error  { return nil }
func (nowhere) MustRegister(...prometheus.Collector) {}
func (nowhere) Unregister(prometheus.Collector) bool { return true }

// probes takes what runs for ready; kubemark's takes everything for ready, also what has no image.
type probes struct{ probetest.FakeManager }

func (probes) UpdatePodStatus(_ *v1.Pod, status *v1.PodStatus) {
	for i := range status.ContainerStatuses {
		container := &status.ContainerStatuses[i]
		container.Ready = container.State.Running != nil
		container.Started = &container.Ready
	}
}

// registry has every image but those with the tag `bad`.
type registry struct {
	internalapi.ImageManagerService
}

func (r registry) PullImage(ctx context.Context, image *runtimeapi.ImageSpec, auth *runtimeapi.AuthConfig, sandbox *runtimeapi.PodSandboxConfig) (string, error) {
	if strings.HasSuffix(image.Image, ":bad") {
		return "", errors.New("no such image")
	}
	return r.ImageManagerService.PullImage(ctx, image, auth, sandbox)
}
