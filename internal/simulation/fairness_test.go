// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strconv"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// The behaviour of the whole: what one object costs the account in two minutes, whatever is
// done to it.
func TestCallsOfOneObjectAreBounded(t *testing.T) {
	t.Parallel()
	refuse := func(w *world) {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: string(cas.ActionUpload), Code: "InvalidParameter"})
	}
	for name, tc := range map[string]struct {
		begin   func(w *world)
		disturb func(w *world, i int)
		least   int // calls a minute
		most    int
	}{
		"two controllers fight over its Secret": {func(*world) {}, func(w *world, i int) { w.putContent(theKey, (i+1)%2) }, 5, 12},
		"the cloud refuses every content":       {refuse, func(w *world, i int) { w.putContent(theKey, 1+i%4) }, 5, 12},
		"a check is asked for all the time":     {func(*world) {}, func(w *world, i int) { w.resync(strconv.Itoa(i)) }, 2, 12},
		"its status is wiped all the time": {func(*world) {}, func(w *world, _ int) {
			w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
		}, 0, 12},
		"it is deleted and made again all the time": {func(*world) {}, func(w *world, i int) {
			w.putContent(theKey, i%4)
			w.api.remove(theKey)
			w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "p" })
		}, 5, 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.given(func(*v1alpha1.CloudCertificate) {})
				w.work(time.Minute)
				tc.begin(w)
				const minutes = 2
				before := len(w.cloud.Journal())
				for i := range minutes * 60 * 3 {
					tc.disturb(w, i)
					w.work(time.Second / 3)
				}
				calls := len(w.cloud.Journal()) - before
				if calls > minutes*tc.most || calls < minutes*tc.least {
					t.Errorf("%d calls in %d minutes, want %d to %d in each", calls, minutes, tc.least, tc.most)
				}
				w.cloud.ClearFaults()
				w.putContent(theKey, 3)
				w.work(time.Minute)
				if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
					t.Errorf("a minute after it ended: %s: %s", reason, message)
				}
			})
		})
	}
}

// Who was told when to try again is not asked for earlier by a change of the Secret; a request
// of the user ends the wait.
func TestAHintIsAPromise(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultThrottle, Action: string(cas.ActionUpload), Count: 1, TimeLeft: 40 * time.Second})
		began := time.Now()
		w.putContent(theKey, 1)
		w.work(time.Second)
		first, _ := w.calls(cas.ActionUpload)
		for i := range 30 {
			w.putContent(theKey, 1+i%2)
			w.work(time.Second)
		}
		if calls, _ := w.calls(cas.ActionUpload); calls != first {
			t.Errorf("%d calls while the hint is kept", calls-first)
		}
		w.work(time.Until(began.Add(45 * time.Second)))
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
			t.Errorf("after the hint: %s: %s", reason, message)
		}
	})
}

// Deletions that succeed are not held up: each is of another certificate.
func TestManyVersionsAreDeletedWithoutAWait(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(deleting)
		for content := range 4 {
			w.putContent(theKey, content)
			w.work(time.Minute)
		}
		w.api.remove(theKey)
		w.work(20 * time.Minute)
		if w.api.objects[theKey] != nil || len(w.ours()) != 0 {
			t.Errorf("%d certificates are left", len(w.ours()))
		}
	})
}
