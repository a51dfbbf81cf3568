package main

import (
	"fmt"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// record is what a reflector fills: the objects at present, and what it was told that cannot be true.
type record struct {
	encoding string
	labels   string

	lock       sync.Mutex
	lists      int
	watchLists int
	replaced   int
	events     int
	version    uint64
	present    map[string]entry
	// deleted has the uids that are gone for good: of a whole collection, since a part may lose an object and get it back.
	deleted    map[types.UID]bool
	violations []string
}

type entry struct {
	uid     types.UID
	version uint64
}

type result struct {
	Encoding   string   `json:"encoding"`
	Labels     string   `json:"labels"`
	Lists      int      `json:"lists"`
	WatchLists int      `json:"watchLists"`
	Replaced   int      `json:"replaced"`
	Events     int      `json:"events"`
	Violations []string `json:"violations"`
	// Objects: name to "uid@version".
	Objects map[string]string `json:"objects"`
}

func newRecord(encoding, labels string) *record {
	return &record{encoding: encoding, labels: labels, present: map[string]entry{}, deleted: map[types.UID]bool{}}
}

// Add is called for ADDED events.
func (r *record) Add(obj interface{}) error {
	return r.event(obj, func(name string, now entry, before entry, known bool) {
		if known {
			r.violated("ADDED %s %v, which is there as %v", name, now, before)
		}
		if r.deleted[now.uid] {
			r.violated("ADDED %s %v, which was deleted", name, now)
		}
		r.present[name] = now
	})
}

// Update is called for MODIFIED events.
func (r *record) Update(obj interface{}) error {
	return r.event(obj, func(name string, now entry, before entry, known bool) {
		if !known || before.uid != now.uid {
			r.violated("MODIFIED %s %v, while %v is there", name, now, before)
		}
		r.present[name] = now
	})
}

// Delete is called for DELETED events.
func (r *record) Delete(obj interface{}) error {
	return r.event(obj, func(name string, now entry, before entry, known bool) {
		if !known || before.uid != now.uid {
			r.violated("DELETED %s %v, while %v is there", name, now, before)
		}
		if r.labels == "" {
			r.deleted[now.uid] = true
		}
		delete(r.present, name)
	})
}

// Replace is called with a whole list.
func (r *record) Replace(list []interface{}, resourceVersion string) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.replaced++
	if version := parse(resourceVersion); version < r.version {
		r.violated("a list of version %d after %d", version, r.version)
	} else {
		r.version = version
	}
	before := r.present
	r.present = map[string]entry{}
	for _, obj := range list {
		name, now := identify(obj)
		if old := before[name]; old.uid == now.uid && now.version < old.version {
			r.violated("%s went back from %v to %v in a list", name, old, now)
		}
		r.present[name] = now
	}
	return nil
}

// Resync has nothing to do.
func (r *record) Resync() error { return nil }

func (r *record) event(obj interface{}, apply func(name string, now, before entry, known bool)) error {
	name, now := identify(obj)
	r.lock.Lock()
	defer r.lock.Unlock()
	r.events++
	before, known := r.present[name]
	if known && now.version <= before.version {
		r.violated("%s at %d after %d: doubled or reordered", name, now.version, before.version)
	}
	// Objects that a difference tells as deleted bear the version of the list, all of them.
	if now.version < r.version {
		r.violated("%s at %d after an event of version %d", name, now.version, r.version)
	}
	r.version = now.version
	apply(name, now, before, known)
	return nil
}

func (r *record) violated(format string, args ...interface{}) {
	if len(r.violations) < 20 {
		r.violations = append(r.violations, fmt.Sprintf(format, args...))
	}
}

func (r *record) count(counter *int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	*counter++
}

func (r *record) hasSynced() bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.replaced > 0
}

func (r *record) has(name string) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	_, known := r.present[name]
	return known
}

func (r *record) result() result {
	r.lock.Lock()
	defer r.lock.Unlock()
	objects := map[string]string{}
	for name, entry := range r.present {
		objects[name] = fmt.Sprintf("%s@%d", entry.uid, entry.version)
	}
	violations := append([]string{}, r.violations...)
	return result{r.encoding, r.labels, r.lists, r.watchLists, r.replaced, r.events, violations, objects}
}

func identify(obj interface{}) (string, entry) {
	object := obj.(*corev1.ConfigMap)
	return object.Name, entry{object.UID, parse(object.ResourceVersion)}
}

func parse(version string) uint64 {
	number, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("resourceVersion %q is no number", version))
	}
	return number
}
