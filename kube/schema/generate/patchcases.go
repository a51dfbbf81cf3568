package main

import (
	"encoding/json"
	"math/rand"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
)

// patchCase is one question to strategicpatch.StrategicMergePatch and its answer; Result is null where Go refuses.
type patchCase struct {
	Name       string          `json:"name"`
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Original   json.RawMessage `json:"original"`
	Patch      json.RawMessage `json:"patch"`
	Result     json.RawMessage `json:"result"`
}

const nodeStatus = `{"kind":"Node","apiVersion":"v1","metadata":{"name":"n","uid":"u","labels":{"a":"1","b":"2"},"finalizers":["x","y"]},
"spec":{"podCIDR":"10.0.0.0/24","taints":[{"key":"t","effect":"NoSchedule"}]},
"status":{"capacity":{"cpu":"2","memory":"1Gi"},"conditions":[{"type":"MemoryPressure","status":"False","reason":"R1"},{"type":"Ready","status":"True","reason":"KubeletReady","message":"m"}],
"addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"Hostname","address":"n"}],"images":[{"names":["a"],"sizeBytes":1},{"names":["b"],"sizeBytes":2}],
"volumesInUse":["v1","v2"],"volumesAttached":[{"name":"v1","devicePath":"p"}],"nodeInfo":{"machineID":"m","kernelVersion":"k"}}}`

const podStatus = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","uid":"u"},"spec":{"containers":[{"name":"a","image":"i","env":[{"name":"E","value":"1"}],"ports":[{"containerPort":80,"protocol":"TCP"}]},{"name":"b","image":"j"}],
"volumes":[{"name":"v","emptyDir":{}},{"name":"w","hostPath":{"path":"/w"}}]},
"status":{"phase":"Running","conditions":[{"type":"Initialized","status":"True"},{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"},{"type":"PodScheduled","status":"True"}],
"podIP":"10.1.0.1","podIPs":[{"ip":"10.1.0.1"},{"ip":"fd00::1"}],"hostIPs":[{"ip":"10.0.0.1"}],"containerStatuses":[{"name":"a","ready":true,"restartCount":0,"state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]}}`

const coreEvent = `{"kind":"Event","apiVersion":"v1","metadata":{"name":"e","namespace":"d"},"involvedObject":{"kind":"Pod","name":"p"},"reason":"BackOff","count":1,"lastTimestamp":"2026-01-01T00:00:00Z","type":"Warning"}`
const seriesEvent = `{"kind":"Event","apiVersion":"events.k8s.io/v1","metadata":{"name":"e","namespace":"d"},"eventTime":"2026-01-01T00:00:00.000000Z","series":{"count":2,"lastObservedTime":"2026-01-01T00:00:00.000000Z"},"regarding":{"kind":"Pod"}}`

var written = []struct{ name, apiVersion, kind, original, patch string }{
	{"heartbeat of one node condition", "v1", "Node", nodeStatus, `{"status":{"$setElementOrder/conditions":[{"type":"MemoryPressure"},{"type":"Ready"}],"conditions":[{"type":"Ready","lastHeartbeatTime":"2026-01-01T00:00:10Z","status":"Unknown","message":null}]}}`},
	{"a new condition before a known one", "v1", "Node", nodeStatus, `{"status":{"$setElementOrder/conditions":[{"type":"DiskPressure"},{"type":"Ready"},{"type":"MemoryPressure"}],"conditions":[{"type":"DiskPressure","status":"False"}]}}`},
	{"conditions without an order", "v1", "Node", nodeStatus, `{"status":{"conditions":[{"type":"PIDPressure","status":"False"},{"type":"MemoryPressure","status":"True"}]}}`},
	{"order that lacks an item of the patch", "v1", "Node", nodeStatus, `{"status":{"$setElementOrder/conditions":[{"type":"Ready"}],"conditions":[{"type":"DiskPressure","status":"False"}]}}`},
	{"order alone", "v1", "Node", nodeStatus, `{"status":{"$setElementOrder/addresses":[{"type":"Hostname"},{"type":"InternalIP"}]}}`},
	{"addresses replaced by the kubelet's way", "v1", "Node", nodeStatus, `{"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.2"},{"type":"Hostname","address":"n"},{"$patch":"replace"}]}}`},
	{"an address deleted", "v1", "Node", nodeStatus, `{"status":{"$setElementOrder/addresses":[{"type":"Hostname"}],"addresses":[{"$patch":"delete","type":"InternalIP"}]}}`},
	{"a delete without merge key", "v1", "Node", nodeStatus, `{"status":{"addresses":[{"$patch":"delete","address":"n"}]}}`},
	{"an item without merge key", "v1", "Node", nodeStatus, `{"status":{"conditions":[{"status":"True"}]}}`},
	{"images replaced whole", "v1", "Node", nodeStatus, `{"status":{"images":[{"names":["c"]}]}}`},
	{"volumesInUse replaced whole", "v1", "Node", nodeStatus, `{"status":{"volumesInUse":["v3"]}}`},
	{"volumesInUse removed", "v1", "Node", nodeStatus, `{"status":{"volumesInUse":null}}`},
	{"capacity merged and an entry removed", "v1", "Node", nodeStatus, `{"status":{"capacity":{"memory":null,"pods":"110"}}}`},
	{"labels merged", "v1", "Node", nodeStatus, `{"metadata":{"labels":{"a":null,"c":"3"},"annotations":{"n":"1","gone":null}}}`},
	{"primitive list merged", "v1", "Node", nodeStatus, `{"metadata":{"finalizers":["z","x"]}}`},
	{"primitive list, deletion and order", "v1", "Node", nodeStatus, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["x"],"$setElementOrder/finalizers":["z","y"],"finalizers":["z"]}}`},
	{"primitive list, deletion of the absent", "v1", "Node", nodeStatus, `{"status":{"$deleteFromPrimitiveList/volumesInUse":["v9","v2"]}}`},
	{"a struct replaced", "v1", "Node", nodeStatus, `{"status":{"nodeInfo":{"$patch":"replace","machineID":"z"}}}`},
	{"a struct deleted", "v1", "Node", nodeStatus, `{"status":{"nodeInfo":{"$patch":"delete"}}}`},
	{"an absent struct with a deletion inside", "v1", "Node", nodeStatus, `{"status":{"config":{"$patch":"delete"},"daemonEndpoints":{"kubeletEndpoint":{"Port":1,"x":null}}}}`},
	{"a directive that is none", "v1", "Node", nodeStatus, `{"status":{"nodeInfo":{"$patch":"mend"}}}`},
	{"a whole object replaced", "v1", "Node", nodeStatus, `{"$patch":"replace","metadata":{"name":"other"}}`},
	{"an object where a list is", "v1", "Node", nodeStatus, `{"status":{"conditions":{"type":"Ready"}}}`},
	{"a field that no Node has", "v1", "Node", nodeStatus, `{"status":{"colour":{"a":1}}}`},
	{"pod ready condition and container status", "v1", "Pod", podStatus, `{"metadata":{"uid":"u"},"status":{"$setElementOrder/conditions":[{"type":"PodReadyToStartContainers"},{"type":"Initialized"},{"type":"Ready"},{"type":"PodScheduled"}],"conditions":[{"status":"False","type":"PodReadyToStartContainers"},{"lastTransitionTime":null,"status":"False","type":"Ready"}],"containerStatuses":[{"name":"a","ready":false,"restartCount":1,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}`},
	{"pod finished", "v1", "Pod", podStatus, `{"metadata":{"uid":"u"},"status":{"phase":"Succeeded","podIP":null,"podIPs":[{"$patch":"delete","ip":"fd00::1"}],"$setElementOrder/podIPs":[{"ip":"10.1.0.1"}]}}`},
	{"new pod address", "v1", "Pod", podStatus, `{"status":{"$setElementOrder/podIPs":[{"ip":"10.1.0.9"}],"podIP":"10.1.0.9","podIPs":[{"ip":"10.1.0.9"},{"$patch":"delete","ip":"10.1.0.1"},{"$patch":"delete","ip":"fd00::1"}]}}`},
	{"containers merged by name", "v1", "Pod", podStatus, `{"spec":{"containers":[{"name":"b","image":"k"},{"name":"a","env":[{"name":"F","value":"2"}],"ports":[{"containerPort":443}]}]}}`},
	{"retainKeys on a volume", "v1", "Pod", podStatus, `{"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/v"}}]}}`},
	{"retainKeys that lacks a key of the patch", "v1", "Pod", podStatus, `{"spec":{"volumes":[{"name":"v","$retainKeys":["name"],"hostPath":{"path":"/v"}}]}}`},
	{"count of an event", "v1", "Event", coreEvent, `{"count":2,"lastTimestamp":"2026-01-01T00:01:00Z","message":null}`},
	{"series of an event", "events.k8s.io/v1", "Event", seriesEvent, `{"series":{"count":3}}`},
	{"series of an event that had none", "v1", "Event", coreEvent, `{"series":{"count":3,"lastObservedTime":null}}`},
}

func writePatchCases(path string) {
	shapes := map[string]any{"v1 Node": corev1.Node{}, "v1 Pod": corev1.Pod{}, "v1 Event": corev1.Event{}, "events.k8s.io/v1 Event": eventsv1.Event{}}
	var cases []patchCase
	add := func(name, apiVersion, kind string, original, patch []byte) {
		result, err := strategicpatch.StrategicMergePatch(original, patch, shapes[apiVersion+" "+kind])
		if err != nil {
			result = nil
		}
		cases = append(cases, patchCase{name, apiVersion, kind, compact(original), compact(patch), result})
	}
	for _, one := range written {
		add(one.name, one.apiVersion, one.kind, []byte(one.original), []byte(one.patch))
	}
	// Random pairs, with the patch that a client would send to get from one to the other.
	random := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs), rand.NewSource(7), scheme.Codecs).NilChance(.3).NumElements(1, 3)
	for range 12 {
		var first, second corev1.NodeStatus
		random.Fill(&first)
		random.Fill(&second)
		second.Conditions = append(second.Conditions, first.Conditions...)
		second.Addresses = append(second.Addresses, first.Addresses...)
		addRandom(add, "Node", corev1.Node{Status: first}, corev1.Node{Status: second})
		var pod, other corev1.PodStatus
		random.Fill(&pod)
		random.Fill(&other)
		other.Conditions = append(other.Conditions, pod.Conditions...)
		pod.PodIPs = append(pod.PodIPs, other.PodIPs...)
		addRandom(add, "Pod", corev1.Pod{Status: pod}, corev1.Pod{Status: other})
	}
	writeCompressed(path, cases)
}

func addRandom(add func(name, apiVersion, kind string, original, patch []byte), kind string, from, to any) {
	original, modified := must(json.Marshal(from)), must(json.Marshal(to))
	patch, err := strategicpatch.CreateTwoWayMergePatch(original, modified, reflect.New(reflect.TypeOf(from)).Interface())
	if err == nil {
		add("random "+kind, "v1", kind, original, patch)
	}
}
