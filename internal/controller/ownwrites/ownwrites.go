// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ownwrites tells a controller's own writes from those of others, and a cache that is
// behind them from one that is not.
package ownwrites

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/controller/notes"
)

// Log remembers the last two writes to each object. The zero value remembers none. It is safe for
// concurrent use. What it says may be wrong after a restore of etcd, which brings versions back
// that were replaced: the API server has the last word.
type Log struct {
	notes notes.Notes[written]
}

type written struct {
	last         [2]write
	staleVersion string    // the resourceVersion that the cache showed although it was behind
	staleSince   time.Time // since when
}

// write is one of our writes to an object.
type write struct {
	from   string // the resourceVersion that it replaced
	to     string // the one that it made; empty while its answer is not here
	status uint64 // digest of the status that it left
}

// Begin notes a write before it is sent: which version of the object it is about to replace, and
// with which status. Its event may be faster than its answer.
func (l *Log) Begin(object client.Object, from string, status any) {
	w := write{from: from, status: Digest(status)}
	l.notes.Change(object, func(known *written) { known.last = [2]write{known.last[1], w} })
}

// End notes what a write made of the object.
func (l *Log) End(object client.Object, from string, status any) {
	l.replace(object, from, write{from: from, to: object.GetResourceVersion(), status: Digest(status)})
}

// Undo takes back that a version was replaced.
func (l *Log) Undo(object client.Object, from string) { l.replace(object, from, write{}) }

func (l *Log) replace(object client.Object, from string, by write) {
	l.notes.Change(object, func(known *written) {
		for i := range known.last {
			if known.last[i].from == from {
				known.last[i] = by
			}
		}
	})
}

// IsBehind reports whether an object is a version that our own last writes replaced:
// whatever was decided from it would be a conflict.
func (l *Log) IsBehind(object client.Object) bool {
	version, known := object.GetResourceVersion(), l.notes.Of(object)
	return version != "" && slices.ContainsFunc(known.last[:], func(w write) bool { return w.from == version })
}

// IsOwn reports whether the status of an object is one that our own last writes left. One
// event may show several writes, the last of them somebody else's.
func (l *Log) IsOwn(object client.Object, status any) bool {
	digest, known := Digest(status), l.notes.Of(object)
	return slices.ContainsFunc(known.last[:], func(w write) bool {
		return w.from != "" && w.status == digest && (w.to == "" || w.to == object.GetResourceVersion())
	})
}

// Stale notes that the cache shows a version which is behind, and reports whether it did not show
// that one before.
func (l *Log) Stale(object client.Object, now time.Time) (news bool) {
	l.notes.Change(object, func(known *written) {
		if news = known.staleVersion != object.GetResourceVersion(); news {
			known.staleVersion, known.staleSince = object.GetResourceVersion(), now
		}
	})
	return news
}

// StaleFor returns for how long the cache has shown this version although it is behind.
func (l *Log) StaleFor(object client.Object, now time.Time) time.Duration {
	known := l.notes.Of(object)
	if known.staleVersion != object.GetResourceVersion() {
		return 0
	}
	return now.Sub(known.staleSince)
}

// Forget forgets what was written to an object.
func (l *Log) Forget(key types.NamespacedName) { l.notes.Forget(key) }

// Digest stands for a status as the API server stores it.
func Digest(status any) uint64 {
	text, err := json.Marshal(status)
	if err != nil {
		return 0 // a status holds nothing that cannot be written
	}
	hash := fnv.New64a()
	_, _ = hash.Write(text)
	return hash.Sum64()
}
