// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"maps"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/recent"
)

// maxStrangers is how many credentials whose account is not known have gates of their own at
// least. Whoever may write a Secret of credentials can make up as many as they like. Each has a gate
// of some kilobytes for each place that its objects are in, of which there are as many as products have
// endpoints: a tenant whose account cannot be learned keeps its pace in all of them.
const maxStrangers = 64

// kept holds what belongs to keys: to those of accounts, and of the operator's own credentials, until it is
// taken out, and to the credentials used last of the others whose account is not known.
type kept[V any] struct {
	lasting   map[key]V
	strangers *recent.Map[string, map[Place]V] // by credential
}

func newKept[V any]() kept[V] {
	return kept[V]{lasting: map[key]V{}, strangers: recent.New[string, map[Place]V](maxStrangers, 0)}
}

// get returns what belongs to a key, which is made if there is nothing. With a place of a credential
// others of it are taken out that are idle.
func (k kept[V]) get(of key, now time.Time, fresh func() V, idle func(V) bool) V {
	if of.isStranger() {
		return k.ofStranger(of, now, fresh, idle)
	}
	value, ok := k.lasting[of]
	if !ok {
		value = fresh()
		k.lasting[of] = value
	}
	return value
}

func (k kept[V]) ofStranger(of key, now time.Time, fresh func() V, idle func(V) bool) V {
	places, known := k.strangers.Get(of.credential, now)
	if !known {
		places = map[Place]V{}
		k.strangers.Put(of.credential, places, now)
	}
	value, ok := places[of.Place]
	if !ok {
		maps.DeleteFunc(places, func(_ Place, v V) bool { return idle(v) })
		value = fresh()
		places[of.Place] = value
	}
	return value
}

// move takes what belongs to a credential to its account; what is there already meets it in
// merge.
func (k kept[V]) move(before, after key, now time.Time, merge func(from, to V)) {
	from, ok := k.takeOut(before, now)
	if !ok {
		return
	}
	if to, ok := k.lasting[after]; ok {
		merge(from, to)
		return
	}
	k.lasting[after] = from
}

// takeOut takes what belongs to a credential out, if there is something.
func (k kept[V]) takeOut(of key, now time.Time) (value V, ok bool) {
	if !of.isStranger() {
		value, ok = k.lasting[of]
		delete(k.lasting, of)
		return value, ok
	}
	places, _ := k.strangers.Get(of.credential, now)
	if value, ok = places[of.Place]; !ok {
		return value, false
	}
	if delete(places, of.Place); len(places) == 0 {
		k.strangers.Delete(of.credential)
	}
	return value, true
}
