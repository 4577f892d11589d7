// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// putSM makes a Secret of an SM pair, or changes it.
func (w *world) putSM(name string, sign, encrypt testbed.Pair) {
	w.t.Helper()
	w.putData(name, corev1.SecretTypeOpaque, map[string][]byte{
		"sign.crt": sign.Certificate, "sign.key": sign.PrivateKey, "enc.crt": encrypt.Certificate, "enc.key": encrypt.PrivateKey,
	})
}

func asSM(cc *v1alpha1.CloudCertificate) { cc.Spec.Type = v1alpha1.CertificateTypeSM }

// TestSMPairLivesLikeTLS uploads a pair, renews it, rolls it back, adopts it after its
// status was lost, prunes it and deletes it, while the list shows the digests of the
// certificate that encrypts: which of the two it shows is unknown.
func TestSMPairLivesLikeTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--prune-delay=1s", "--settle-delay=1s")
	w.cloud.Inject(emulator.Fault{Kind: emulator.FaultOtherDigests})
	w.start()
	ca, err := testbed.NewSMCA("SM CA")
	if err != nil {
		t.Fatal(err)
	}
	issue := func() (sign, encrypt testbed.Pair) {
		sign, encrypt, err := ca.Issue(90*24*time.Hour, "sm.example.com")
		if err != nil {
			t.Fatal(err)
		}
		return sign, encrypt
	}
	sign, encrypt := issue()
	w.putSM("sm", sign, encrypt)
	w.create("sm", asSM)
	first := w.waitReason("sm", v1alpha1.ReasonSynced)
	if facts := first.Status.Certificate; facts.CommonName != "sm.example.com" || len(facts.DNSNames) != 1 || facts.NotAfter.IsZero() {
		t.Errorf("status describes %+v", facts)
	}

	newSign, newEncrypt := issue()
	w.putSM("sm", newSign, newEncrypt)
	renewed := w.wait("sm", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != first.Status.CertID })
	if len(renewed.Status.History) != 1 || renewed.Status.History[0].CertID != first.Status.CertID {
		t.Errorf("history %+v, want certificate %d", renewed.Status.History, first.Status.CertID)
	}

	w.putSM("sm", sign, encrypt)
	w.wait("sm", "rolled back", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID == first.Status.CertID })

	lost := w.get("sm")
	lost.Status = v1alpha1.CloudCertificateStatus{ObservedGeneration: -1}
	if err := kube.Status().Update(ctx, lost); err != nil {
		t.Fatal(err)
	}
	if adopted := w.waitReason("sm", v1alpha1.ReasonSynced); adopted.Status.CertID != first.Status.CertID {
		t.Errorf("adopted certificate %d, want %d", adopted.Status.CertID, first.Status.CertID)
	}
	if n := len(w.certificates()); n != 2 {
		t.Errorf("%d certificates in the cloud, want 2", n)
	}

	w.change("sm", func(cc *v1alpha1.CloudCertificate) {
		cc.Spec.RevisionHistoryLimit = new(int32(0))
		cc.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
	})
	third, thirdEncrypt := issue()
	w.putSM("sm", third, thirdEncrypt)
	pruned := w.wait("sm", "pruned", func(cc *v1alpha1.CloudCertificate) bool {
		return cc.Status.CertID > renewed.Status.CertID && cc.Status.HistoryTotal == 0
	})
	if ids := w.ids(); !slices.Equal(ids, []int64{pruned.Status.CertID}) {
		t.Errorf("certificates %v, want the current one, %d", ids, pruned.Status.CertID)
	}
	w.remove("sm")
	w.waitGone("sm")
	if ids := w.ids(); len(ids) != 0 {
		t.Errorf("certificates %v outlived their object", ids)
	}
}

func TestMixedUpPairsAreExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	ca, err := testbed.NewSMCA("SM CA")
	if err != nil {
		t.Fatal(err)
	}
	sign, encrypt, err := ca.Issue(time.Hour, "sm.example.com")
	if err != nil {
		t.Fatal(err)
	}
	tls := w.issue("www.example.com")
	w.putSM("swapped", encrypt, sign)
	w.create("swapped", asSM)
	w.putSM("tls-as-sm", tls, tls)
	w.create("tls-as-sm", asSM)
	w.putData("sm-as-tls", corev1.SecretTypeOpaque, map[string][]byte{"tls.crt": sign.Certificate, "tls.key": sign.PrivateKey})
	w.create("sm-as-tls", nil)
	for name, says := range map[string]string{
		"swapped": "swap", "tls-as-sm": "SM2", "sm-as-tls": "set spec.type to SM",
	} {
		if ready := readyOf(w.waitReason(name, v1alpha1.ReasonInvalidCertificate)); !strings.Contains(ready.Message, says) {
			t.Errorf("%s: message %q does not say %q", name, ready.Message, says)
		}
	}
	if n := len(w.certificates()); n != 0 {
		t.Errorf("%d certificates were uploaded", n)
	}
}
