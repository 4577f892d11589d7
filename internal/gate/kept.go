// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"time"

	"github.com/cloudcert-io/cloudcert/internal/recent"
)

// maxStrangers is how many credentials whose account is not known have gates of their own at
// least, of which each takes some kilobytes. Whoever may write a Secret of credentials can make
// up as many as they like.
const maxStrangers = 64

// kept holds what belongs to keys: to those of accounts until it is taken out, and to the
// credentials used last of those whose account is not known.
type kept[V any] struct {
	accounts  map[key]V
	strangers *recent.Map[key, V]
}

func newKept[V any]() kept[V] {
	return kept[V]{accounts: map[key]V{}, strangers: recent.New[key, V](maxStrangers, 0)}
}

// get returns what belongs to a key, which is made if there is nothing.
func (k kept[V]) get(of key, now time.Time, fresh func() V) V {
	if of.account == "" {
		value, ok := k.strangers.Get(of, now)
		if !ok {
			value = fresh()
			k.strangers.Put(of, value, now)
		}
		return value
	}
	value, ok := k.accounts[of]
	if !ok {
		value = fresh()
		k.accounts[of] = value
	}
	return value
}

// move takes what belongs to a credential to its account; what is there already meets it in
// merge.
func (k kept[V]) move(before, after key, now time.Time, merge func(from, to V)) {
	from, ok := k.strangers.Get(before, now)
	if !ok {
		return
	}
	k.strangers.Delete(before)
	if to, ok := k.accounts[after]; ok {
		merge(from, to)
		return
	}
	k.accounts[after] = from
}
