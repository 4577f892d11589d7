// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

const testRegion = "cn-hangzhou"

// issued is a CloudCertificate that names a certificate of its own.
func issued(name string, certID int64) *v1alpha1.CloudCertificate {
	c := &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}}
	c.Status.CertID, c.Status.Region = certID, testRegion
	c.Status.Name = bundle.Name("cc", bundle.Identity("here", "shop", name), "abcdefghijklm")
	return c
}

// sni is a binding of a CloudCertificate to an additional slot of a listener, which was read. The
// older ones are those that are named first.
func sni(name, certificate, listener string, boundCertID int64) *v1alpha1.CloudCertificateBinding {
	b := &v1alpha1.CloudCertificateBinding{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID(name), CreationTimestamp: metav1.Unix(int64(name[0]), 0),
	}}
	b.Spec.CertificateRef.Name = certificate
	b.Spec.Target.ALB = &v1alpha1.ALBTarget{RegionID: "cn-shanghai", ListenerID: listener, Slot: v1alpha1.SlotAdditional}
	b.Status.FirstReadTime = metav1.Unix(1_800_000_000, 0)
	if boundCertID != 0 {
		b.Status.BoundCertID, b.Status.BoundCertIdentifier = boundCertID, rules.ID{CertID: boundCertID, Region: testRegion}.String()
	}
	return b
}

// consider begins a reconcile of the first of some bindings.
func consider(t *testing.T, certificates []*v1alpha1.CloudCertificate, bindings ...*v1alpha1.CloudCertificateBinding) *reconciliation {
	t.Helper()
	build := fake.NewClientBuilder().WithScheme(testScheme(t)).WithIndex(&v1alpha1.CloudCertificateBinding{}, bySlot, slotsOf).
		WithIndex(&v1alpha1.CloudCertificateBinding{}, byCertificate, certificateOf).
		WithIndex(&v1alpha1.CloudCertificateBinding{}, byReason, reasonOf)
	for _, c := range certificates {
		build = build.WithObjects(c)
	}
	for _, b := range bindings {
		build = build.WithObjects(b)
	}
	kube := build.Build()
	r := &Reconciler{Client: kube, Live: kube, Options: Options{ClusterID: "here", Targets: []targets.Product{targets.ALB}, SingleTenant: true}}
	object := &v1alpha1.CloudCertificateBinding{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(bindings[0]), object); err != nil {
		t.Fatal(err)
	}
	p, err := r.begin(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWhatAnotherBindingHasIsLeftToIt: a binding that refers to another CloudCertificate by now takes
// out what it placed before, unless another binding of the listener serves its host by that.
func TestWhatAnotherBindingHasIsLeftToIt(t *testing.T) {
	t.Parallel()
	unread := func(b *v1alpha1.CloudCertificateBinding) *v1alpha1.CloudCertificateBinding {
		b.Status = v1alpha1.CloudCertificateBindingStatus{}
		return b
	}
	left := []rules.ID{{CertID: 10, Region: testRegion}}
	for name, tc := range map[string]struct {
		other *v1alpha1.CloudCertificateBinding
		want  []rules.ID
	}{
		"another binding serves it":               {sni("b", "web", "lsn-a", 10), left},
		"another binding is about to read it":     {unread(sni("b", "web", "lsn-a", 0)), left},
		"at another listener":                     {sni("b", "web", "lsn-b", 10), nil},
		"another binding of the other object":     {unread(sni("b", "api", "lsn-a", 0)), nil},
		"another binding that serves another one": {sni("b", "web", "lsn-a", 9), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := sni("a", "api", "lsn-a", 20)
			own.Status.LeftoverCertIDs = []int64{10}
			p := consider(t, []*v1alpha1.CloudCertificate{issued("web", 10), issued("api", 20)}, own, tc.other)
			if diff := cmp.Diff(tc.want, p.consent.Needed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNothingIsTakenOutThatAnotherBindingHasComeToNeed since the decision.
func TestNothingIsTakenOutThatAnotherBindingHasComeToNeed(t *testing.T) {
	t.Parallel()
	own := sni("a", "api", "lsn-a", 20)
	own.Status.LeftoverCertIDs = []int64{10}
	p := consider(t, []*v1alpha1.CloudCertificate{issued("web", 10), issued("api", 20)}, own)
	if len(p.consent.Needed) != 0 {
		t.Fatalf("%v is needed by nobody", p.consent.Needed)
	}
	if err := p.Create(t.Context(), sni("b", "web", "lsn-a", 10)); err != nil {
		t.Fatal(err)
	}
	p.state = &targets.State{} // to take something out would need a ticket, and there is none
	if err := p.remove(t.Context(), rules.Remove{IDs: []rules.ID{{CertID: 10, Region: testRegion}}}); !isStale(err) {
		t.Errorf("%v, want to decide again", err)
	}
}

// TestWhoGoesOnWithASlot: an older binding that has the slot by now goes on with what this one placed,
// as a younger one that waits does.
func TestWhoGoesOnWithASlot(t *testing.T) {
	t.Parallel()
	deleted := func(b *v1alpha1.CloudCertificateBinding) *v1alpha1.CloudCertificateBinding {
		b.DeletionTimestamp, b.Finalizers = &metav1.Time{Time: time.Unix(1_800_000_000, 0)}, []string{v1alpha1.FinalizerUnbind}
		return b
	}
	for name, tc := range map[string]struct {
		other *v1alpha1.CloudCertificateBinding
		rival bool
		heirs int
	}{
		"an older one":                  {sni("a", "web", "lsn-a", 10), true, 1},
		"a younger one":                 {sni("c", "web", "lsn-a", 0), false, 1},
		"an older one that is deleted":  {deleted(sni("a", "web", "lsn-a", 10)), true, 0},
		"a younger one that is deleted": {deleted(sni("c", "web", "lsn-a", 0)), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := consider(t, []*v1alpha1.CloudCertificate{issued("web", 10)}, sni("b", "web", "lsn-a", 10), tc.other)
			if (p.consent.Rival != "") != tc.rival || len(p.consent.Heirs) != tc.heirs {
				t.Errorf("rival %q, heirs %v; want %t and %d", p.consent.Rival, p.consent.Heirs, tc.rival, tc.heirs)
			}
		})
	}
}

// TestWhoWaitsForASlotIsWoken when the CloudCertificate of the binding that has it comes or goes: one
// without keeps nobody out.
func TestWhoWaitsForASlotIsWoken(t *testing.T) {
	t.Parallel()
	standard := func(b *v1alpha1.CloudCertificateBinding) *v1alpha1.CloudCertificateBinding {
		b.Spec.Target.ALB.Slot = v1alpha1.SlotDefault
		return b
	}
	has, waits := standard(sni("a", "web", "lsn-a", 10)), standard(sni("b", "api", "lsn-a", 0))
	p := consider(t, []*v1alpha1.CloudCertificate{issued("web", 10), issued("api", 20)}, waits, has, standard(sni("c", "api", "lsn-b", 0)))
	if p.consent.Rival == "" {
		t.Fatal("the older binding does not keep the younger one out")
	}
	var woken []string
	for _, request := range p.boundTo(t.Context(), issued("web", 10)) {
		woken = append(woken, request.Name)
	}
	if diff := cmp.Diff([]string{"a", "b"}, woken); diff != "" {
		t.Error(diff)
	}
	if err := p.Delete(t.Context(), issued("web", 10)); err != nil {
		t.Fatal(err)
	}
	if rival, _, err := p.rivals(t.Context()); rival != "" || err != nil {
		t.Errorf("rival %q, %v", rival, err)
	}
}

// TestWhoLacksCredentialsIsWoken when their Secret comes or changes, and nobody else.
func TestWhoLacksCredentialsIsWoken(t *testing.T) {
	t.Parallel()
	lacks := func(b *v1alpha1.CloudCertificateBinding, secret, reason string) *v1alpha1.CloudCertificateBinding {
		b.Spec.CredentialsSecretRef.Name = secret
		b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: reason}}
		return b
	}
	theirs := issued("theirs", 10)
	theirs.Spec.CredentialsSecretRef.Name = "keys"
	p := consider(t, []*v1alpha1.CloudCertificate{issued("web", 10), theirs},
		lacks(sni("a-own", "gone", "lsn-a", 0), "keys", v1alpha1.ReasonCredentialsUnavailable),
		lacks(sni("b-of-the-certificate", "theirs", "lsn-a", 0), "", v1alpha1.ReasonCredentialsUnavailable),
		lacks(sni("c-another-secret", "web", "lsn-a", 0), "other", v1alpha1.ReasonCredentialsUnavailable),
		lacks(sni("d-the-operators", "web", "lsn-a", 0), "", v1alpha1.ReasonCredentialsUnavailable),
		lacks(sni("e-synced", "theirs", "lsn-a", 0), "", v1alpha1.ReasonSynced),
		sni("f-new", "theirs", "lsn-a", 0))
	var woken []string
	for _, request := range p.lackingCredentials(t.Context(), &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "keys"}}) {
		woken = append(woken, request.Name)
	}
	if diff := cmp.Diff([]string{"a-own", "b-of-the-certificate"}, woken); diff != "" {
		t.Error(diff)
	}
}
