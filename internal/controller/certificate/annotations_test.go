// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

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

func TestTheCacheKeepsWhatIsRead(t *testing.T) {
	t.Parallel()
	object, _ := synced()
	object.UID, object.ResourceVersion = "uid", "7"
	object.CreationTimestamp, object.DeletionTimestamp = metav1.NewTime(now), new(metav1.NewTime(now.Add(time.Hour)))
	want := object.DeepCopy()
	foreign(object, strings.Repeat("x", 100<<10))
	request := resyncRequest(object)
	got, err := stripCloudCertificate(object)
	if err != nil {
		t.Fatal(err)
	}
	want.Annotations, want.Finalizers = map[string]string{v1alpha1.AnnotationResync: request}, []string{v1alpha1.FinalizerCleanup}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	again, err := stripCloudCertificate(want.DeepCopy())
	if diff := cmp.Diff(want, again); err != nil || diff != "" {
		t.Errorf("the second time: %v %s", err, diff)
	}
}
