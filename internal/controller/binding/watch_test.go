// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	testclock "k8s.io/utils/clock/testing"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

func TestCacheKeepsNothingElseOfObjects(t *testing.T) {
	t.Parallel()
	object := &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "gateway", UID: "u", ResourceVersion: "7", Labels: map[string]string{"team": "shop"}, Finalizers: []string{"f"},
			Annotations:   map[string]string{annotationCertID: "1-cn-hangzhou", "kubectl.kubernetes.io/last-applied-configuration": "long"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
	}
	want := &metav1.PartialObjectMetadata{
		TypeMeta: object.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "gateway", UID: "u", ResourceVersion: "7", Annotations: map[string]string{annotationCertID: "1-cn-hangzhou"},
		},
	}
	got, err := keepIdentity(object)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestVersionsThatAWatchShows have the object read again, unless that version was read.
func TestVersionsThatAWatchShows(t *testing.T) {
	t.Parallel()
	b := &v1alpha1.CloudCertificateBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u"}}
	m := &memory{}
	isBehind := func() bool { known := m.objects.Of(b); return known.isBehind() }
	m.seen(b, "1") // another process wrote it, before this one has read anything
	if !isBehind() {
		t.Error("a change that nobody has read is not read")
	}
	behind := m.behind(b)
	if m.begins(b); !behind || isBehind() {
		t.Error("a reading that has begun is behind what was seen before it")
	}
	m.hasRead(b, "2")
	m.seen(b, "2") // our own write, which was read back
	if isBehind() {
		t.Error("what was read is read again")
	}
	m.begins(b)
	m.seen(b, "4") // while it is being read
	m.hasRead(b, "3")
	if !isBehind() {
		t.Error("a change during a reading is lost")
	}
}

// lateClock tells of something when it is first asked.
type lateClock struct {
	clock.PassiveClock
	tell func()
}

func (c *lateClock) Now() time.Time {
	if tell := c.tell; tell != nil {
		c.tell = nil
		tell()
	}
	return c.PassiveClock.Now()
}

// TestAChangeDuringAReadingIsNotForgotten: also where the reading was made before, for somebody else.
func TestAChangeDuringAReadingIsNotForgotten(t *testing.T) {
	t.Parallel()
	now := &lateClock{PassiveClock: testclock.NewFakePassiveClock(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC))}
	r := &Reconciler{Clock: now}
	first, second := take(r, &countingAdapter{}, "first"), take(r, &countingAdapter{}, "second")
	if err := first.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.tell()
	first.release()
	now.tell = func() { r.memory.seen(second.next, "12") }
	if err := second.read(t.Context()); err != nil || second.state == nil || now.tell != nil {
		t.Fatalf("%v, state %v", err, second.state)
	}
	if !r.memory.behind(second.next) {
		t.Error("what was read before version 12 was seen counts as version 12")
	}
}
