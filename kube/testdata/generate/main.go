// Writes the wire test data with Kubernetes' own encoders: go run . ..
// Lists, objects and watch streams, each in protobuf and JSON, as kube-apiserver v1.34 writes them.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
)

var (
	scheme    = runtime.NewScheme()
	jsonCodec = jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, scheme, scheme, jsonserializer.SerializerOptions{StreamingCollectionsEncoding: true})
	pbCodec   = protobuf.NewSerializerWithOptions(scheme, scheme, protobuf.SerializerOptions{StreamingCollectionsEncoding: true})
	outDir    string
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func ptr[T any](value T) *T { return &value }

func write(name string, body []byte) {
	check(os.WriteFile(filepath.Join(outDir, name), body, 0o644))
}

func encode(encoder runtime.Encoder, object runtime.Object) []byte {
	var body bytes.Buffer
	check(serializer.NewCodecFactory(scheme).EncoderForVersion(encoder, corev1.SchemeGroupVersion).Encode(object, &body))
	return body.Bytes()
}

func plain(encoder runtime.Encoder, object runtime.Object) []byte {
	var body bytes.Buffer
	check(encoder.Encode(object, &body))
	return body.Bytes()
}

func both(name string, object runtime.Object) {
	write(name+".pb", encode(pbCodec, object))
	write(name+".json", encode(jsonCodec, object))
}

type event struct {
	kind   string
	object runtime.Object
}

func watch(name string, events []event) {
	var pb, js bytes.Buffer
	for _, each := range events {
		frame, err := (&metav1.WatchEvent{Type: each.kind, Object: runtime.RawExtension{Raw: encode(pbCodec, each.object)}}).Marshal()
		check(err)
		check(binary.Write(&pb, binary.BigEndian, uint32(len(frame))))
		pb.Write(frame)
		jsonWatch(&js, each.kind, encode(jsonCodec, each.object))
	}
	write(name+".pb", pb.Bytes())
	write(name+".json", js.Bytes())
}

func jsonWatch(out *bytes.Buffer, kind string, object []byte) {
	line, err := json.Marshal(&metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: bytes.TrimSpace(object)}})
	check(err)
	out.Write(line)
	out.WriteByte('\n')
}

func pod(i int) corev1.Pod {
	at := metav1.NewTime(time.Date(2026, 3, 1, 0, 0, i, 0, time.UTC))
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("pod-%d", i), GenerateName: "pod-", Namespace: []string{"default", "edge-apps"}[i%2],
			UID: types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", i)), ResourceVersion: fmt.Sprint(1000 + i), Generation: int64(i), CreationTimestamp: at,
			Labels:      map[string]string{"app": fmt.Sprintf("app-%d", i%3), "näme": "wärt ✓", "uid": "no", "empty": ""},
			Annotations: map[string]string{"note": "quote \" backslash \\ brace } bracket ] <html> & ümlaut \u2028 😀\n", "name": "not-this"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "owner-name", UID: "owner-uid", Controller: ptr(true)}},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &at, FieldsType: "FieldsV1",
				FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{}}},"f:metadata":{"f:name":{}}}}`)}}},
		},
		Spec: corev1.PodSpec{
			NodeName: "edge1", Priority: ptr(int32(-7)),
			Containers: []corev1.Container{{Name: "main", Image: "registry.example/app:v1", Args: []string{strings.Repeat("x", i*97)}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &at},
	}
}

func configMap(i int) corev1.ConfigMap {
	return corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("config-%d", i), Namespace: "default", UID: types.UID(fmt.Sprintf("uid-%d", i)), ResourceVersion: fmt.Sprint(50 + i), Labels: map[string]string{"i": fmt.Sprint(i)}},
		Data:       map[string]string{"text": "{\"metadata\":{\"name\":\"no\"}}", "bytes": "\x01\u007f"},
	}
}

func node(i int) corev1.Node {
	return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i), UID: types.UID(fmt.Sprintf("node-uid-%d", i)), ResourceVersion: fmt.Sprint(70 + i)}}
}

func custom(i int) unstructured.Unstructured {
	return unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps.example.dev/v1", "kind": "Gauge",
		"metadata": map[string]any{"name": fmt.Sprintf("gauge-%d", i), "namespace": "default", "uid": fmt.Sprintf("gauge-uid-%d", i), "resourceVersion": fmt.Sprint(300 + i), "labels": map[string]any{"site": "a&b"}, "creationTimestamp": "2026-03-01T00:00:00Z", "generation": int64(1)},
		"spec":     map[string]any{"kind": "inner", "metadata": map[string]any{"name": "inner-name"}, "values": []any{int64(1), 2.5, true, nil, "]}"}},
	}}
}

func main() {
	outDir = os.Args[1]
	check(corev1.AddToScheme(scheme))
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)

	pods := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "123456"}, Items: []corev1.Pod{}}
	both("empty-list", pods.DeepCopy())
	for i := range 6 {
		pods.Items = append(pods.Items, pod(i))
	}
	both("pod-list", pods)

	page := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "99", Continue: "eyJ2IjoibWV0YSJ9", RemainingItemCount: ptr(int64(300))}}
	nodes := &corev1.NodeList{ListMeta: metav1.ListMeta{ResourceVersion: "98"}}
	for i := range 40 {
		page.Items = append(page.Items, configMap(i))
		nodes.Items = append(nodes.Items, node(i))
	}
	both("page", page)
	both("node-list", nodes)

	one := pod(3)
	both("pod", &one)
	other := one.DeepCopy()
	other.ResourceVersion = "98765432109"
	both("pod-other-version", other)

	expired := &metav1.Status{Status: metav1.StatusFailure, Message: "too old resource version: 1 (2)", Reason: metav1.StatusReasonExpired, Code: 410}
	both("status", expired)
	bookmark := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "777"}}
	initialEventsEnd := bookmark.DeepCopy()
	initialEventsEnd.Annotations = map[string]string{"k8s.io/initial-events-end": "true"}
	watch("bookmark", []event{{"BOOKMARK", bookmark}})
	watch("initial-events-end", []event{{"BOOKMARK", initialEventsEnd}})
	watch("error", []event{{"ERROR", expired}})
	events := []event{}
	for i := range 6 {
		each := pod(i)
		events = append(events, event{[]string{"ADDED", "MODIFIED", "DELETED"}[i%3], &each})
	}
	lastNode := node(1)
	watch("watch", append(events, event{"ADDED", &lastNode}, event{"BOOKMARK", bookmark}, event{"ERROR", expired}))

	// Custom resources: JSON only, keys sorted.
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "apps.example.dev/v1", "kind": "GaugeList", "metadata": map[string]any{"continue": "", "resourceVersion": "400"}}}
	var frames bytes.Buffer
	for i := range 3 {
		each := custom(i)
		list.Items = append(list.Items, each)
		jsonWatch(&frames, "ADDED", plain(jsonCodec, &each))
	}
	write("custom-list.json", plain(jsonCodec, list))
	write("custom-watch.json", frames.Bytes())

	// as=PartialObjectMetadataList: items carry their TypeMeta in JSON.
	check(metav1.AddMetaToScheme(scheme))
	partial := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}, ListMeta: metav1.ListMeta{ResourceVersion: "55"}}
	for i := range 2 {
		partial.Items = append(partial.Items, metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}, ObjectMeta: configMap(i).ObjectMeta})
	}
	write("partial-list.json", plain(jsonCodec, partial))
	write("partial-list.pb", plain(pbCodec, partial))
	frames.Reset()
	for i := range partial.Items {
		jsonWatch(&frames, "ADDED", plain(jsonCodec, &partial.Items[i]))
	}
	write("partial-watch.json", frames.Bytes())
}
