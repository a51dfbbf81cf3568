package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// A mark is the value of an annotation that says when an object was written, by the clock that its readers have too, and
// the how manieth write it was. It reads the same in JSON and in protobuf, so that a reader need not decode an event.
const markAnnotation = "holdfast.dev/bench"

var markPrefix = []byte("bench-mark:")

func formatMark(at time.Time, sequence int) string {
	return fmt.Sprintf("%s%d:%d;", markPrefix, at.UnixNano(), sequence)
}

// findMark returns false for an event without a mark: a bookmark.
func findMark(event []byte) (at time.Time, sequence int, found bool) {
	_, rest, found := bytes.Cut(event, markPrefix)
	if !found {
		return time.Time{}, 0, false
	}
	text, _, _ := bytes.Cut(rest, []byte(";"))
	nanoseconds, number, _ := bytes.Cut(text, []byte(":"))
	unix, err := strconv.ParseInt(string(nanoseconds), 10, 64)
	if err != nil {
		return time.Time{}, 0, false
	}
	sequence, err = strconv.Atoi(string(number))
	return time.Unix(0, unix), sequence, err == nil
}
