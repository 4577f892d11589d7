// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// TestWhatWasReadForNothingIsReadAgain: a reconcile that began with a status from before the last one
// reads what somebody has changed, and ends by a conflict. The status that it finds then is Synced.
func TestWhatWasReadForNothingIsReadAgain(t *testing.T) {
	t.Parallel()
	gone := apierrors.NewConflict(schema.GroupResource{}, "web", errors.New("the object has been modified"))
	for name, tc := range map[string]struct {
		target   v1alpha1.BindingTarget
		revision string // empty where nothing is read
		want     bool
	}{
		"of an object that is watched":           {v1alpha1.BindingTarget{ConfigMap: &v1alpha1.ConfigMapTarget{Name: "web"}}, "8", true},
		"of one that is as it was decided about": {v1alpha1.BindingTarget{ConfigMap: &v1alpha1.ConfigMapTarget{Name: "web"}}, "7", false},
		"of one that is not: a check stays due":  {v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: "a.example.com"}}, "8", false},
		"nothing was read":                       {v1alpha1.BindingTarget{ConfigMap: &v1alpha1.ConfigMapTarget{Name: "web"}}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Reconciler{Clock: clock.RealClock{}, Jitter: func(d time.Duration) time.Duration { return d }}
			p := take(r, &countingAdapter{revision: tc.revision}, "web")
			p.next.Spec.Target = tc.target
			p.place = placeOf(p.next)
			r.memory.hasRead(p.next, "7")
			if tc.revision != "" {
				if err := p.read(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if result, err := p.again(gone); err != nil || result.RequeueAfter <= 0 {
				t.Fatalf("%v, %v", result, err)
			}
			if got := r.memory.behind(p.next); got != tc.want {
				t.Errorf("it is to be read again: %t", got)
			}
			r.memory.begins(p.next)
			if r.memory.behind(p.next) {
				t.Error("a reading that has begun is behind")
			}
		})
	}
}

// TestWhatIsGoneAndWasReadForNothingIsReadAgain: an object that has no version, and of which this process
// has decided nothing yet.
func TestWhatIsGoneAndWasReadForNothingIsReadAgain(t *testing.T) {
	t.Parallel()
	r := &Reconciler{Clock: clock.RealClock{}, Jitter: func(d time.Duration) time.Duration { return d }}
	p := take(r, &countingAdapter{}, "web")
	p.next.Spec.Target = v1alpha1.BindingTarget{ConfigMap: &v1alpha1.ConfigMapTarget{Name: "web"}}
	p.place = placeOf(p.next)
	r.memory.seen(p.next, "deleted")
	if err := p.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.again(errors.New("the status could not be written")); err == nil {
		t.Fatal("the error is lost")
	}
	if !r.memory.behind(p.next) {
		t.Error("that it is gone is forgotten: a status that says Synced reads nothing")
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
