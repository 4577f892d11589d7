// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// A renewal needs a free place of a quota until its predecessor is taken out. Where the quota is
// full, each removal makes room for one who was refused. Who is woken for it is tried again at
// once, and nobody else: a try that is refused costs a call. All of it is forgotten with the
// process, and then everybody is tried again at a pace of his own.

// shortage is that of a binding which was refused because a quota was full.
type shortage struct {
	in    *round
	quota string
	// renews tells who gives the place back.
	renews bool
	// number tells who was refused first.
	number int
}

// room is that for some certificates more.
type room struct {
	quota  string
	places int
}

// spare is room that a reading has shown, and that nobody waited for by then.
type spare struct{ shown, places int }

// lacks notes that a binding was refused because a quota was full. Room that was shown since its call
// began is its own at once. r.mu is held.
func (r *rounds) lacks(t *ticket, b *batch, c change) {
	if left := r.spare[c.quota]; left.places > 0 && left.shown > b.shown && r.wake != nil {
		left.places--
		r.spare[c.quota] = left
		r.wake(t.who)
		return
	}
	r.refusals++
	r.short[t.who] = shortage{in: t.round, quota: c.quota, renews: c.renews, number: r.refusals}
}

// makesRoom notes what a call takes out, as soon as a reading shows that it is over. r.mu is held.
func (in *round) makesRoom(b *batch, err error) {
	failed := err != nil && !alibaba.MayHaveHappened(err)
	for _, c := range b.changes {
		if n := b.kind.takesOut(c.removal, failed); n > 0 {
			in.freed = room{quota: c.quota, places: in.freed.places + n}
		}
	}
}

// takesOut is how many certificates that a quota counts a removal takes out, at most. Copies in a store
// are deleted one by one, a few at a time: where one cannot be, the others may be gone.
func (k kind) takesOut(r targets.Removal, failed bool) (n int) {
	for _, e := range r.Entries {
		if e.Role != targets.RoleDefault { // which leaves a slot, and its copy in the store
			n++
		}
	}
	switch {
	case k == alone && failed:
		return min(n, targets.MostDeleted) - 1
	case k == alone:
		return min(n, targets.MostDeleted)
	case failed:
		return 0
	}
	return n
}

// offer has as many bindings woken as there is room for by now: renewals before what was never placed,
// which would keep the place that they all take turns at, and those first that were refused first. Who
// would decide by the reading that is about to be told is expected to. r.mu is held.
func (r *rounds) offer(in *round) {
	freed := in.freed
	if r.wake == nil || freed.places == 0 {
		return
	}
	lacking := slices.DeleteFunc(slices.Collect(maps.Keys(r.short)), func(who types.NamespacedName) bool {
		return r.short[who].quota != freed.quota
	})
	slices.SortFunc(lacking, func(a, b types.NamespacedName) int {
		one, other := r.short[a], r.short[b]
		if one.renews != other.renews {
			if one.renews {
				return -1
			}
			return 1
		}
		return cmp.Compare(one.number, other.number)
	})
	lacking = lacking[:min(len(lacking), freed.places)]
	for _, who := range lacking {
		if r.short[who].in == in {
			in.waiting[who] = true
		} else {
			r.wake(who)
		}
		delete(r.short, who)
	}
	r.shown++
	r.spare[freed.quota] = spare{shown: r.shown, places: freed.places - len(lacking)}
	in.freed = room{}
}
