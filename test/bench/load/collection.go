package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// collection is what the benchmark wants to know of a list.
type collection struct {
	items           int
	resourceVersion string
}

// readList reads a list in JSON or in Kubernetes protobuf: "k8s\0", then Unknown{raw = 2}, which holds the list:
// {metadata = 1: ListMeta{resourceVersion = 2}, items = 2}.
func readList(body []byte) (collection, error) {
	raw, isProtobuf := bytes.CutPrefix(body, []byte("k8s\x00"))
	if !isProtobuf {
		var list struct {
			Metadata struct{ ResourceVersion string }
			Items    []json.RawMessage
		}
		err := json.Unmarshal(body, &list)
		return collection{len(list.Items), list.Metadata.ResourceVersion}, err
	}
	list, err := fieldsNumbered(2, raw)
	if err != nil || len(list) != 1 {
		return collection{}, fmt.Errorf("no protobuf list in %d bytes: %v", len(body), err)
	}
	metadata, err := fieldsNumbered(1, list[0])
	if err != nil || len(metadata) != 1 {
		return collection{}, fmt.Errorf("a protobuf list without metadata: %v", err)
	}
	version, err := fieldsNumbered(2, metadata[0])
	if err != nil || len(version) != 1 {
		return collection{}, fmt.Errorf("a protobuf list without resourceVersion: %v", err)
	}
	items, err := fieldsNumbered(2, list[0])
	return collection{len(items), string(version[0])}, err
}

// eventVersion reads the version of the object in a protobuf watch event: {object = 2: {raw = 1: "k8s\0" Unknown{raw = 2}}},
// which holds {metadata = 1: ObjectMeta{resourceVersion = 6}}.
func eventVersion(event []byte) (string, error) {
	message := event
	for _, number := range []uint64{2, 1, 2, 1, 6} {
		message = bytes.TrimPrefix(message, []byte("k8s\x00"))
		fields, err := fieldsNumbered(number, message)
		if err != nil || len(fields) != 1 {
			return "", fmt.Errorf("a watch event without resourceVersion: %v", err)
		}
		message = fields[0]
	}
	return string(message), nil
}

// fieldsNumbered returns the values of a field of a message that has varints and length-delimited fields.
func fieldsNumbered(number uint64, message []byte) ([][]byte, error) {
	var fields [][]byte
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		value, m := binary.Uvarint(message[max(n, 0):])
		if n <= 0 || m <= 0 || (tag&7 != 0 && tag&7 != 2) {
			return nil, fmt.Errorf("protobuf field cannot be read")
		}
		message = message[n+m:]
		if tag&7 == 0 {
			continue
		}
		if value > uint64(len(message)) {
			return nil, fmt.Errorf("protobuf field of %d bytes in %d", value, len(message))
		}
		if tag>>3 == number {
			fields = append(fields, message[:value])
		}
		message = message[value:]
	}
	return fields, nil
}
