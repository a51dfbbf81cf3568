package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// The table's form is described where it is read: ../table.ts.
type table struct {
	Kinds map[string]string `json:"kinds"`
	Types map[string]string `json:"types"`
}

// Types whose JSON and protobuf forms are written by hand in Go, as letters of the table.
var special = map[string]string{
	"meta/v1.Time":         "T",
	"meta/v1.MicroTime":    "U",
	"meta/v1.Duration":     "D",
	"meta/v1.FieldsV1":     "V",
	"resource.Quantity":    "Q",
	"intstr.IntOrString":   "I",
	"runtime.RawExtension": "R",
}

// allKinds are the kinds with a protobuf form, without those that every group repeats.
func allKinds() map[schema.GroupVersionKind]reflect.Type {
	all := runtime.NewScheme()
	check(scheme.AddToScheme(all))
	check(metav1.AddMetaToScheme(all))
	kinds := map[schema.GroupVersionKind]reflect.Type{}
	for gvk, goType := range all.AllKnownTypes() {
		inMeta := typePackage(goType) == "meta/v1"
		ownGroup := gvk.GroupVersion().String() == "v1" || gvk.GroupVersion().String() == "meta.k8s.io/v1"
		_, marshals := reflect.New(goType).Interface().(interface{ Marshal() ([]byte, error) })
		if gvk.Version == runtime.APIVersionInternal || gvk.Kind == "WatchEvent" || !marshals || (inMeta && !ownGroup) {
			continue
		}
		kinds[gvk] = goType
	}
	return kinds
}

func writeTable(path string) {
	out := table{Kinds: map[string]string{}, Types: map[string]string{}}
	byVersion := map[string][]string{}
	for gvk, goType := range allKinds() {
		addType(out.Types, goType)
		version := gvk.GroupVersion().String()
		byVersion[version] = append(byVersion[version], gvk.Kind+"="+typeName(goType))
	}
	for version, kinds := range byVersion {
		slices.Sort(kinds)
		out.Kinds[version] = strings.Join(kinds, " ")
	}
	text := must(json.MarshalIndent(out, "", " "))
	check(os.WriteFile(path, append(text, '\n'), 0o644))
	log.Printf("table: %d types, %d bytes", len(out.Types), len(text))
}

func typePackage(goType reflect.Type) string {
	path := goType.PkgPath()
	for _, prefix := range []string{"k8s.io/apimachinery/pkg/apis/", "k8s.io/apimachinery/pkg/api/", "k8s.io/apimachinery/pkg/util/", "k8s.io/apimachinery/pkg/", "k8s.io/api/"} {
		if rest, found := strings.CutPrefix(path, prefix); found {
			return rest
		}
	}
	return path
}

func typeName(goType reflect.Type) string { return typePackage(goType) + "." + goType.Name() }

func addType(types map[string]string, goType reflect.Type) {
	name := typeName(goType)
	if _, known := types[name]; known {
		return
	}
	types[name] = "" // Types refer to themselves.
	var fields []string
	for i := range goType.NumField() {
		if field, carried := fieldText(types, goType.Field(i)); carried {
			fields = append(fields, field)
		}
	}
	types[name] = strings.Join(fields, ";")
}

// fieldText: "<number><letter> <JSON name> <flags> <type> <patchStrategy> <patchMergeKey>", empty ends cut off.
func fieldText(types map[string]string, field reflect.StructField) (string, bool) {
	protobuf := strings.Split(field.Tag.Get("protobuf"), ",")
	if len(protobuf) < 3 {
		return "", false // TypeMeta: it travels in the envelope.
	}
	name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
	optional := strings.Split(options, ",")
	flags := ""
	flag := func(letter string, set bool) {
		if set {
			flags += letter
		}
	}
	if name == "" && !slices.Contains(optional, "inline") && !field.Anonymous {
		name = field.Name
	}
	flag("o", slices.Contains(optional, "omitempty"))
	flag("z", slices.Contains(optional, "omitzero"))
	goType := field.Type
	flag("p", goType.Kind() == reflect.Pointer)
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if slices.Contains(optional, "string") {
		log.Fatalf("%s: json option string is not in the table's form", field.Name)
	}
	// The tag says opt for some repeated fields, so the Go type decides: only a named list of strings is one message.
	if goType.Kind() == reflect.Slice && goType.Name() == "" && !isBytes(goType) {
		flags += "r"
		goType = goType.Elem()
		if goType.Kind() == reflect.Pointer {
			goType = goType.Elem()
		}
	}
	if goType.Kind() == reflect.Map {
		if goType.Key().Kind() != reflect.String {
			log.Fatalf("%s: map with keys of %s", field.Name, goType.Key())
		}
		flags += "m"
		goType = goType.Elem()
	}
	letter, message := letterOf(types, goType)
	strategy, mergeKey := field.Tag.Get("patchStrategy"), field.Tag.Get("patchMergeKey")
	text := fmt.Sprintf("%s%s %s %s %s %s %s", protobuf[1], letter, name, flags, message, strategy, mergeKey)
	return strings.TrimRight(text, " "), true
}

func isBytes(goType reflect.Type) bool {
	return goType.Kind() == reflect.Slice && goType.Elem().Kind() == reflect.Uint8
}

func letterOf(types map[string]string, goType reflect.Type) (letter, message string) {
	if letter, found := special[typeName(goType)]; found {
		return letter, ""
	}
	switch {
	case isBytes(goType):
		return "b", ""
	case goType.Kind() == reflect.Slice && goType.Elem().Kind() == reflect.String:
		return "L", "" // A named list that is a message in protobuf: ExtraValue, Verbs.
	}
	switch goType.Kind() {
	case reflect.String:
		return "s", ""
	case reflect.Bool:
		return "B", ""
	case reflect.Int32:
		return "i", ""
	case reflect.Int64:
		return "l", ""
	case reflect.Float64:
		return "d", ""
	case reflect.Struct:
		addType(types, goType)
		return "M", typeName(goType)
	}
	log.Fatalf("%s is not in the table's form", goType)
	return "", ""
}
