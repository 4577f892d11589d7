// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// checkNotAllowed expects an object that waits for another account, and says which one it
// may not use.
func (w *world) checkNotAllowed(t *testing.T, says string) {
	t.Helper()
	status, reason, message := w.ready(t)
	stalled := meta.IsStatusConditionTrue(w.api.objects[theKey].Status.Conditions, v1alpha1.ConditionStalled)
	if status != "False" || reason != v1alpha1.ReasonAccountNotAllowed || !stalled || !strings.Contains(message, says) {
		t.Errorf("Ready is %s, stalled %t, %s: %s", status, stalled, reason, message)
	}
}

func (w *world) checkCertificates(t *testing.T, account string, want int) {
	t.Helper()
	if got := len(w.cloud.Certificates(account, cas.RegionChina)); got != want {
		t.Errorf("account %s has %d certificates, want %d", account, got, want)
	}
}

func TestNothingIsUploadedToAnAccountThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.allowed = []string{ownAccount}
		w.useCredentials(theKey.Namespace, "LTAIother", "other-secret")
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.CredentialsSecretRef.Name = "creds" })
		w.work(time.Minute)
		w.checkNotAllowed(t, otherAccount)
		w.checkCertificates(t, otherAccount, 0)

		w.useCredentials(theKey.Namespace, "LTAIown", "own-secret")
		w.work(time.Minute)
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
			t.Errorf("credentials of an allowed account: %s: %s", reason, message)
		}

		before := w.api.objects[theKey].Status
		w.useCredentials(theKey.Namespace, "LTAIother", "other-secret")
		w.putContent(theKey, 1)
		w.work(time.Minute)
		w.checkNotAllowed(t, otherAccount)
		w.checkCertificates(t, otherAccount, 0)
		if now := w.api.objects[theKey].Status; now.CertID != before.CertID || now.AccountID != ownAccount || w.said("event LeftBehind") != 0 {
			t.Errorf("the status names certificate %d in account %s, want %d in %s", now.CertID, now.AccountID, before.CertID, ownAccount)
		}

		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.CredentialsSecretRef.Name = "" })
		w.work(time.Minute)
		w.checkRest()
		w.checkCertificates(t, ownAccount, 2)
	})
}

func TestNothingIsUploadedToAnAccountThatIsNotKnownYet(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.allowed = []string{ownAccount}
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: "GetCallerIdentity"})
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(20 * time.Minute)
		w.checkNotAllowed(t, "GetCallerIdentity")
		w.checkCertificates(t, ownAccount, 0)
		if all, _ := w.calls("GetCallerIdentity"); all < 2 || all > 10 {
			t.Errorf("asked %d times in 20 minutes", all)
		}

		w.cloud.ClearFaults()
		w.work(time.Hour) // nothing tells when STS answers again
		w.checkRest()
		w.checkCertificates(t, ownAccount, 1)
	})
}

// The list says where keys may go. What is in an account that was taken off the list stays
// there, and is still removed with its object: that is no less than what whoever took it off
// may want.
func TestAnAccountTakenOffTheList(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.useCredentials(theKey.Namespace, "LTAIother", "other-secret")
		w.given(func(o *v1alpha1.CloudCertificate) {
			o.Spec.CredentialsSecretRef.Name, o.Spec.DeletionPolicy = "creds", v1alpha1.DeletionPolicyDelete
		})
		w.work(time.Minute)
		w.allowed = []string{ownAccount}
		w.operators[0].dead = true
		w.work(time.Minute)
		w.checkNotAllowed(t, otherAccount)

		w.putContent(theKey, 1)
		w.work(7 * time.Hour) // a check for drift is among them
		w.checkCertificates(t, otherAccount, 1)

		w.allowed = nil
		w.operators[len(w.operators)-1].dead = true
		w.work(time.Minute)
		w.checkRest()
		w.checkCertificates(t, otherAccount, 2)

		w.allowed = []string{ownAccount}
		w.operators[len(w.operators)-1].dead = true
		w.work(time.Minute)
		w.checkNotAllowed(t, otherAccount)
		w.api.remove(theKey)
		w.work(10 * time.Minute)
		w.checkCertificates(t, otherAccount, 0)
		if w.api.objects[theKey] != nil {
			t.Error("the object is held")
		}
	})
}

func TestARestartWithAllowedAccountsMakesNoCall(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.allowed = []string{ownAccount}
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		w.operators[0].dead = true
		calls := len(w.cloud.Journal())
		w.work(time.Minute)
		if got := len(w.cloud.Journal()) - calls; got != 0 {
			t.Errorf("%d calls", got)
		}
	})
}
