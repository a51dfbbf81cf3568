// generate writes what the TypeScript side needs to know of Kubernetes' Go types, and the answers it is tested against.
//
//	go run . [-fuzz FILE -fuzz-count N]
//
// Without flags it writes, into the folder above: table.json (the schema), goldens.json.gz (objects with their JSON) and
// ../patch/strategic-merge-patch.cases.json.gz. With -fuzz it writes only FILE: random objects for `check-fuzz.mjs`.
package main

import (
	"flag"
	"log"
	"path/filepath"
)

func main() {
	fuzz := flag.String("fuzz", "", "write random objects to this file, and nothing else")
	count := flag.Int("fuzz-count", 20, "random objects per kind")
	folder := flag.String("folder", "..", "the folder kube/schema")
	flag.Parse()
	log.SetFlags(0)

	if *fuzz != "" {
		writeFuzz(*fuzz, *count)
		return
	}
	writeTable(filepath.Join(*folder, "table.json"))
	writeGoldens(filepath.Join(*folder, "goldens.json.gz"))
	writePatchCases(filepath.Join(*folder, "..", "patch", "strategic-merge-patch.cases.json.gz"))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
