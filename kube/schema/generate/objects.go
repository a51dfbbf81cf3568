package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"log"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// The kinds that a node's clients use. Their goldens in k8s.io/api set every field.
var goldenKinds = strings.Fields(`core.v1.Pod core.v1.Node core.v1.Event core.v1.Service core.v1.ConfigMap core.v1.Secret
	core.v1.Namespace core.v1.Endpoints core.v1.PersistentVolumeClaim core.v1.PersistentVolume core.v1.ServiceAccount
	coordination.k8s.io.v1.Lease authentication.k8s.io.v1.TokenRequest authentication.k8s.io.v1.TokenReview
	authorization.k8s.io.v1.SubjectAccessReview authorization.k8s.io.v1.SelfSubjectAccessReview
	discovery.k8s.io.v1.EndpointSlice storage.k8s.io.v1.CSINode storage.k8s.io.v1.CSIDriver
	storage.k8s.io.v1.VolumeAttachment storage.k8s.io.v1.StorageClass node.k8s.io.v1.RuntimeClass events.k8s.io.v1.Event
	certificates.k8s.io.v1.CertificateSigningRequest apps.v1.Deployment apps.v1.DaemonSet batch.v1.Job
	resource.k8s.io.v1.ResourceClaim resource.k8s.io.v1.ResourceSlice networking.k8s.io.v1.ServiceCIDR`)

// Kinds without a golden, filled at random instead.
var filledKinds = []schema.GroupVersionKind{
	{Version: "v1", Kind: "Status"}, {Version: "v1", Kind: "PodList"}, {Version: "v1", Kind: "NodeList"},
	{Version: "v1", Kind: "ServiceList"}, {Version: "v1", Kind: "EventList"}, {Version: "v1", Kind: "DeleteOptions"},
	{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSliceList"}, {Version: "v1", Kind: "APIResourceList"},
}

type golden struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Protobuf   string          `json:"protobuf"`
	JSON       json.RawMessage `json:"json"`
}

func writeGoldens(path string) {
	var goldens []golden
	moduleCache := strings.TrimSpace(string(must(exec.Command("go", "env", "GOMODCACHE").Output())))
	folder := filepath.Join(moduleCache, "k8s.io", "api@v0.34.4", "testdata", "HEAD")
	serializer := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	for _, name := range goldenKinds {
		body := must(os.ReadFile(filepath.Join(folder, name+".pb")))
		text := must(os.ReadFile(filepath.Join(folder, name+".json")))
		object, _, err := serializer.Decode(body, nil, nil)
		check(err)
		goldens = append(goldens, golden{
			APIVersion: object.GetObjectKind().GroupVersionKind().GroupVersion().String(),
			Kind:       object.GetObjectKind().GroupVersionKind().Kind,
			Protobuf:   base64.StdEncoding.EncodeToString(bare(body)),
			JSON:       compact(text),
		})
	}
	fill := newFiller()
	for _, gvk := range filledKinds {
		for range 2 {
			message, text := fill(gvk)
			goldens = append(goldens, golden{gvk.GroupVersion().String(), gvk.Kind, base64.StdEncoding.EncodeToString(message), text})
		}
	}
	writeCompressed(path, goldens)
}

func writeCompressed[T any](path string, values []T) {
	var out bytes.Buffer
	zip := must(gzip.NewWriterLevel(&out, gzip.BestCompression))
	check(json.NewEncoder(zip).Encode(values))
	check(zip.Close())
	check(os.WriteFile(path, out.Bytes(), 0o644))
	log.Printf("%s: %d entries, %d bytes", filepath.Base(path), len(values), out.Len())
}

func compact(text []byte) []byte {
	var out bytes.Buffer
	check(json.Compact(&out, text))
	return out.Bytes()
}

// bare takes the message out of its envelope.
func bare(body []byte) []byte {
	var unknown runtime.Unknown
	check(unknown.Unmarshal(body[4:]))
	return unknown.Raw
}

// newFiller gives random objects as Go holds them after one trip through protobuf: what a real server can send.
func newFiller() func(schema.GroupVersionKind) (message, text []byte) {
	random := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs), rand.NewSource(99), scheme.Codecs)
	random = random.NilChance(.5).NumElements(1, 3)
	kinds := allKinds()
	return func(gvk schema.GroupVersionKind) ([]byte, []byte) {
		first := newObject(kinds, gvk)
		random.Fill(first)
		first.GetObjectKind().SetGroupVersionKind(gvk)
		sent := must(first.(marshaler).Marshal())
		second := newObject(kinds, gvk)
		check(second.(marshaler).Unmarshal(sent))
		second.GetObjectKind().SetGroupVersionKind(gvk)
		return must(second.(marshaler).Marshal()), must(json.Marshal(second))
	}
}

// writeFuzz: for each object four lengths (uint32, big endian), then apiVersion, kind, protobuf, JSON.
func writeFuzz(path string, perKind int) {
	var out bytes.Buffer
	fill := newFiller()
	kinds := sortedKinds()
	made := 0
	for _, gvk := range kinds {
		for range perKind {
			func() {
				// Random fields of a few types cannot be marshalled (RawExtension with random bytes).
				defer func() {
					if problem := recover(); problem != nil {
						log.Print("skipped ", gvk, ": ", problem)
					}
				}()
				message, text := fill(gvk)
				for _, part := range [][]byte{[]byte(gvk.GroupVersion().String()), []byte(gvk.Kind), message, text} {
					check(binary.Write(&out, binary.BigEndian, uint32(len(part))))
					out.Write(part)
				}
				made++
			}()
		}
	}
	check(os.WriteFile(path, out.Bytes(), 0o644))
	log.Printf("fuzz: %d objects of %d kinds, %d bytes", made, len(kinds), out.Len())
}

func sortedKinds() []schema.GroupVersionKind {
	var kinds []schema.GroupVersionKind
	for gvk := range allKinds() {
		kinds = append(kinds, gvk)
	}
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int { return cmp.Compare(a.String(), b.String()) })
	return kinds
}

type marshaler interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

func newObject(kinds map[schema.GroupVersionKind]reflect.Type, gvk schema.GroupVersionKind) runtime.Object {
	return reflect.New(kinds[gvk]).Interface().(runtime.Object)
}
