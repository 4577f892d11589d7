// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// maxRequest is the longest request for a check that the status keeps as it is: a digest in hex.
const maxRequest = 64

// The API server lets an annotation have 256 KiB, and the status would keep them a second
// time.
func TestALongResyncRequestIsAnsweredOnceAndBriefly(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200<<10)
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		handled := map[string]string{}
		for _, value := range []string{"brief", strings.Repeat("y", maxRequest), long, long + "x"} {
			calls := len(w.cloud.Journal())
			w.api.change(theKey, func(o *v1alpha1.CloudCertificate) {
				o.Annotations = map[string]string{v1alpha1.AnnotationResync: value}
			})
			w.work(time.Minute)
			if len(w.cloud.Journal()) == calls {
				t.Errorf("a request of %d bytes was not answered", len(value))
			}
			answer := w.api.objects[theKey].Status.LastHandledResync
			if other, known := handled[answer]; known {
				t.Errorf("requests of %d and %d bytes have the same answer", len(other), len(value))
			}
			handled[answer] = value
			if len(answer) > maxRequest || len(value) <= maxRequest && answer != value {
				t.Errorf("a request of %d bytes was answered by %d bytes: %.70q", len(value), len(answer), answer)
			}
			calls = len(w.cloud.Journal())
			w.operators[len(w.operators)-1].dead = true // another one knows the status alone
			w.work(time.Minute)
			if len(w.cloud.Journal()) != calls {
				t.Errorf("a request of %d bytes was answered twice", len(value))
			}
		}
		w.checkRest()
	})
}

// foreign gives an object what others may write, and the operator does not read.
func foreign(o *v1alpha1.CloudCertificate, filler string) {
	o.Labels = map[string]string{"app": filler}
	o.Annotations = map[string]string{
		"example.com/note": filler, "cloudcert.io/made-up": filler, v1alpha1.AnnotationResync: filler, v1alpha1.AnnotationOrphan: filler,
		corev1.LastAppliedConfigAnnotation: filler,
	}
	o.Finalizers = []string{"example.com/one", v1alpha1.FinalizerCleanup, "example.com/" + filler}
	o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: filler, UID: "owner"}}
	o.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: filler}}
	o.GenerateName = filler
}

// What the cache does not show stays as it is, whatever the operator writes.
func TestForeignMetadataOutlivesOurWrites(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(o *v1alpha1.CloudCertificate) {
			foreign(o, "filler")
			o.Finalizers = []string{"example.com/one", "example.com/two"}
			o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
		})
		w.work(time.Minute)
		check := func(want ...string) {
			t.Helper()
			o := w.api.objects[theKey]
			slices.Sort(o.Finalizers)
			if !slices.Equal(o.Finalizers, want) || o.Labels["app"] != "filler" || o.Annotations["example.com/note"] != "filler" || len(o.Annotations) != 5 || len(o.OwnerReferences) != 1 {
				t.Errorf("the object has %+v", o.ObjectMeta)
			}
		}
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
			t.Fatalf("%s: %s", reason, message)
		}
		check(v1alpha1.FinalizerCleanup, "example.com/one", "example.com/two")
		w.putContent(theKey, 1)
		w.work(time.Minute)
		check(v1alpha1.FinalizerCleanup, "example.com/one", "example.com/two")
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		w.work(time.Minute)
		check("example.com/one", "example.com/two")
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete })
		w.work(time.Minute)
		w.api.remove(theKey)
		w.work(time.Minute)
		check("example.com/one", "example.com/two")
		if n := len(w.cloud.Certificates(ownAccount, cas.RegionChina)); n != 0 {
			t.Errorf("%d certificates are left", n)
		}
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Finalizers = nil })
		w.work(time.Minute)
	})
}
