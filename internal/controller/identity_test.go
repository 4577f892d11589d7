// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// Some tools write key and certificate one after the other.
func TestAMismatchIsAVerdictOnlyIfItLasts(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		half := maps.Clone(w.pool[0].data)
		half["tls.key"] = w.pool[1].data["tls.key"]
		w.api.putSecret(secretOf(simKey), half)
		live := &countedReads{Reader: w.operator().r.Live}
		w.operator().r.Live = live
		w.work(3 * time.Second)
		status, reason, message := w.ready(t)
		if status != "False" || reason != v1alpha1.ReasonProgressing || !strings.Contains(message, "tls.key does not match") {
			t.Errorf("Ready is %s, %s: %s", status, reason, message)
		}
		if isStalled(w) {
			t.Error("half of a change is taken for a verdict")
		}
		if live.secrets != 1 {
			t.Errorf("the Secret was read %d times while nothing changed", live.secrets)
		}
		w.putContent(simKey, 1)
		w.work(time.Second)
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
			t.Errorf("after the other half: %s: %s", reason, message)
		}
		if _, created := w.calls(cas.ActionUpload); created != 2 {
			t.Errorf("%d certificates were made, want one for each pair", created)
		}
		w.api.putSecret(secretOf(simKey), half)
		w.work(partnerTime - time.Second)
		if isStalled(w) {
			t.Error("Stalled before the time has passed")
		}
		w.work(2 * time.Second)
		if _, reason, _ := w.ready(t); reason != v1alpha1.ReasonInvalidCertificate || !isStalled(w) {
			t.Errorf("a mismatch that lasts: %s, Stalled %t", reason, isStalled(w))
		}
		passes := w.said("pass two")
		w.work(time.Hour)
		if got := w.said("pass two") - passes; got != 0 {
			t.Errorf("%d passes over what only a person can mend", got)
		}
	})
}

// A code that nobody knows may pass in seconds, or never.
func TestAnUnknownCodeIsRetriedFromSecondsToAnHour(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: string(cas.ActionUpload), Code: "Odd.Code", Status: 400})
		before, _ := w.calls(cas.ActionUpload)
		w.putContent(simKey, 1)
		w.work(20 * time.Second)
		if now, _ := w.calls(cas.ActionUpload); now-before < 3 || now-before > 6 {
			t.Errorf("%d tries in the first 20 seconds", now-before)
		}
		w.work(12 * time.Hour)
		if now, _ := w.calls(cas.ActionUpload); now-before < 15 || now-before > 26 {
			t.Errorf("%d tries in 12 hours", now-before)
		}
	})
}

func TestAResyncBeginsSlowRetriesAnew(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionUpload)})
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(6*time.Hour + 30*time.Minute)
		tries, _ := w.calls(cas.ActionUpload)
		w.api.change(simKey, func(o *v1alpha1.CloudCertificate) {
			o.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
		})
		w.work(20 * time.Minute) // at once, after 5 and after 15 minutes
		if now, _ := w.calls(cas.ActionUpload); now-tries != 3 {
			t.Errorf("%d tries within 20 minutes of the request", now-tries)
		}
		w.work(12 * time.Hour)
		if now, _ := w.calls(cas.ActionUpload); now-tries > 17 {
			t.Errorf("%d tries in half a day: each of them begins anew", now-tries)
		}
	})
}

// isStalled reports whether the object of the stories waits for a person.
func isStalled(w *simWorld) bool {
	return meta.IsStatusConditionTrue(w.api.objects[simKey].Status.Conditions, v1alpha1.ConditionStalled)
}

// countedReads counts the Secrets that are read live.
type countedReads struct {
	client.Reader
	secrets int
}

func (c *countedReads) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if _, ok := into.(*corev1.Secret); ok {
		c.secrets++
	}
	return c.Reader.Get(ctx, key, into, options...)
}
