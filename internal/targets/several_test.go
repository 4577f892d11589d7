// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// placeAll places certificates in one call, as another attempt of each.
func (w *world) placeAll(t Target, s State, all ...Certificate) error {
	w.t.Helper()
	var placements []Placement
	for _, c := range all {
		w.seeds++
		placements = append(placements, Placement{Certificate: c, Seed: fmt.Sprintf("attempt-%d", w.seeds)})
	}
	return w.adapter(t.Product).(Several).PlaceAll(w.t.Context(), t, s, placements)
}

func (w *world) certificates(n int) []Certificate {
	w.t.Helper()
	var all []Certificate
	for i := range n {
		all = append(all, w.certificate(fmt.Sprintf("%d.example.com", i)))
	}
	return all
}

func TestSeveralCertificatesGoInOneCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	slot, all := slotOf(SlotAdditional), w.certificates(MostTogether)
	w.listener(all[0]) // is there already
	w.check(w.placeAll(slot, w.read(slot), all...))
	state := w.read(slot)
	for _, c := range all {
		if serves, _ := state.Holds(slot, c); !serves {
			t.Errorf("%s is not served", c.Identifier())
		}
	}
	w.check(w.placeAll(slot, state, all...))
	if n := w.calls("AssociateAdditionalCertificatesWithListener"); n != 1 {
		t.Errorf("%d calls, want one", n)
	}
}

// What is refused of several is refused of all: nothing is placed.
func TestSeveralCertificatesArePlacedTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		quota int
		spoil func(w *world, standard Certificate, all []Certificate)
		class Class
	}{
		"too many for the listener": {2, func(*world, Certificate, []Certificate) {}, QuotaExceeded},
		"one is not in CAS":         {0, func(_ *world, _ Certificate, all []Certificate) { all[1].CertID = 7 }, CertificateNotFound},
		"one is the default":        {0, func(_ *world, standard Certificate, all []Certificate) { all[1] = standard }, Refused},
		"one was added since the read, which says nothing of the others": {0, func(w *world, _ Certificate, all []Certificate) {
			w.check(w.place(slotOf(SlotAdditional), State{Status: "Running"}, all[1]))
		}, Progressing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{AdditionalQuota: test.quota})
			slot, all := slotOf(SlotAdditional), w.certificates(3)
			standard := w.listener()
			state := w.read(slot)
			test.spoil(w, standard, all)
			e := wantClass(t, w.placeAll(slot, state, all...), test.class)
			if test.class == Progressing && e.RetryAfter <= 0 {
				t.Error("no hint")
			}
			for _, c := range all { // each may be another tenant's
				if strings.Contains(e.Brief(), c.Identifier()) {
					t.Errorf("all who share the call are told of %s: %s", c.Identifier(), e.Brief())
				}
			}
			state = w.read(slot)
			for _, c := range []Certificate{all[0], all[2]} {
				if serves, arriving := state.Holds(slot, c); serves || arriving {
					t.Errorf("%s is placed", c.Identifier())
				}
			}
		})
	}
}
