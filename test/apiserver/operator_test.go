// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

func TestSecretBecomesCertificateAndFollowsRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	first := w.issue("www.example.com", "example.com")
	w.putSecret("web", first)
	w.create("web", nil)
	w.start()

	got := w.waitReason("web", v1alpha1.ReasonSynced)
	w.checkCurrent(got, first)
	if len(got.Status.History) != 0 || got.Status.HistoryTotal != 0 {
		t.Errorf("a first version has a history: %+v", got.Status.History)
	}
	if got.Status.AccountID != account || got.Status.Region != region {
		t.Errorf("account %q and region %q, want %q and %q", got.Status.AccountID, got.Status.Region, account, region)
	}

	second := w.issue("www.example.com", "example.com")
	w.putSecret("web", second)
	renewed := w.wait("web", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != got.Status.CertID })
	w.checkCurrent(renewed, second)
	if len(renewed.Status.History) != 1 || renewed.Status.HistoryTotal != 1 {
		t.Fatalf("history %+v (total %d), want the first version", renewed.Status.History, renewed.Status.HistoryTotal)
	}
	old := renewed.Status.History[0]
	if old.CertID != got.Status.CertID || old.Name != got.Status.Name || old.ResourceID != got.Status.ResourceID ||
		old.FingerprintSHA256 != got.Status.Certificate.FingerprintSHA256 || old.UploadTime.IsZero() || old.NotAfter.IsZero() {
		t.Errorf("history %+v does not describe %+v", old, got.Status)
	}
	if n := len(w.certificates()); n != 2 {
		t.Errorf("%d certificates in the cloud, want 2", n)
	}

	// Back to the first: it is adopted, and the second goes into history.
	w.putSecret("web", first)
	back := w.wait("web", "rolled back", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID == got.Status.CertID })
	if len(back.Status.History) != 1 || back.Status.History[0].CertID != renewed.Status.CertID {
		t.Errorf("history after the rollback: %+v, want certificate %d", back.Status.History, renewed.Status.CertID)
	}
	if n := len(w.certificates()); n != 2 {
		t.Errorf("%d certificates in the cloud after the rollback, want 2", n)
	}
}

// checkCurrent checks that status and cloud agree on a certificate.
func (w *world) checkCurrent(cc *v1alpha1.CloudCertificate, pair testbed.Pair) {
	w.t.Helper()
	status, facts := cc.Status, certificateFacts(w.t, pair)
	if status.Certificate.FingerprintSHA256 != facts.fingerprint || status.Certificate.SerialNumber != facts.serial {
		w.t.Errorf("status describes %+v, want fingerprint %s and serial %s", status.Certificate, facts.fingerprint, facts.serial)
	}
	if !status.Certificate.NotAfter.Time.Equal(facts.notAfter) {
		w.t.Errorf("notAfter is %s, want %s", status.Certificate.NotAfter, facts.notAfter)
	}
	for _, c := range w.certificates() {
		if c.CertID != status.CertID {
			continue
		}
		if c.Name != status.Name || c.ResourceID != status.ResourceID || !strings.EqualFold(c.SHA256, facts.fingerprint) {
			w.t.Errorf("the cloud holds %+v, status says %+v", c, status)
		}
		if want := fmt.Sprintf("%d-%s", c.CertID, region); status.CertIdentifier != want {
			w.t.Errorf("certIdentifier is %q, want %q", status.CertIdentifier, want)
		}
		return
	}
	w.t.Errorf("certificate %d is not in the cloud", status.CertID)
}

func TestRestartWithNothingToDoCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	for i := range 10 {
		name := fmt.Sprintf("web-%d", i)
		w.putSecret(name, w.issue(name+".example.com"))
		w.create(name, nil)
	}
	w.putSecret("bad", testbed.Pair{Certificate: []byte("no certificate"), PrivateKey: []byte("no key")})
	w.create("bad", nil)
	w.start()
	for i := range 10 {
		w.waitReason(fmt.Sprintf("web-%d", i), v1alpha1.ReasonSynced)
	}
	w.waitReason("bad", v1alpha1.ReasonInvalidCertificate)
	if reads := w.secretReads(0); len(reads) == 0 {
		t.Fatal("no read of a Secret was seen although there were some: this test would prove nothing")
	}
	w.stop()
	calls, requests := len(w.cloud.Journal()), len(w.proxy.Requests())

	w.start()
	// An object made after the start is handled after what was there before it.
	w.putSecret("last", w.issue("last.example.com"))
	w.create("last", nil)
	w.waitReason("last", v1alpha1.ReasonSynced)
	for _, read := range w.secretReads(requests) {
		if !strings.HasSuffix(read.Path, "/last") {
			t.Errorf("the restart read %s", read.Path)
		}
	}
	for _, request := range w.proxy.Requests()[requests:] {
		if request.Method == http.MethodPatch && strings.Contains(request.Path, "cloudcertificates") && !strings.Contains(request.Path, "/last") {
			t.Errorf("the restart wrote %s", request.Path)
		}
	}
	for _, call := range w.cloud.Journal()[calls:] {
		if call.Action == "UploadUserCertificate" && strings.Contains(call.Name, "_last_") || call.Action == "GetCallerIdentity" {
			continue
		}
		t.Errorf("the restart called the cloud: %+v", call)
	}
}

// secretReads are the reads of single Secrets from the nth request on.
func (w *world) secretReads(from int) []testbed.Request {
	var reads []testbed.Request
	for _, request := range w.proxy.Requests()[from:] {
		if request.Method == http.MethodGet && strings.Contains(request.Path, "/secrets/") {
			reads = append(reads, request)
		}
	}
	return reads
}

func TestTwoHundredAtOnce(t *testing.T) {
	t.Parallel()
	const n = 200
	w := newWorld(t, emulator.Options{UploadLimit: withoutLimit})
	w.start()
	pair := w.issue("shared.example.com") // the same content for many objects is one certificate for each
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		w.putSecret(name, pair)
		w.create(name, nil)
	}
	list := &v1alpha1.CloudCertificateList{}
	w.eventually(func() string {
		if err := kube.List(ctx, list, inNamespace(w.namespace)); err != nil {
			return err.Error()
		}
		synced := 0
		for i := range list.Items {
			if readyOf(&list.Items[i]).Status == metav1.ConditionTrue {
				synced++
			}
		}
		if synced == n {
			return ""
		}
		return fmt.Sprintf("%d of %d are synced", synced, n)
	})
	ids := map[int64]bool{}
	for i := range list.Items {
		ids[list.Items[i].Status.CertID] = true
	}
	if len(ids) != n || len(w.certificates()) != n {
		t.Errorf("%d objects name %d certificates, the cloud holds %d", n, len(ids), len(w.certificates()))
	}
	uploads := 0
	for _, call := range w.cloud.Journal() {
		if call.Action != "UploadUserCertificate" {
			continue
		}
		uploads++
		if call.Code != "" {
			t.Errorf("an upload ended with %s", call.Code)
		}
	}
	if uploads != n {
		t.Errorf("%d calls for %d uploads", uploads, n)
	}
	patches := 0
	for _, request := range w.proxy.Requests() {
		if request.Method == http.MethodPatch && strings.HasSuffix(request.Path, "/status") {
			patches++
		}
	}
	if patches != n {
		t.Errorf("%d status writes for %d objects", patches, n)
	}
}

func TestBadAndMissingSecretsShowItAndRecover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	good, other := w.issue("www.example.com"), w.issue("www.example.com")
	expired, err := w.ca.Issue(-time.Minute, nil, "www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	w.putSecret("mismatch", testbed.Pair{Certificate: good.Certificate, PrivateKey: other.PrivateKey})
	w.putSecret("expired", expired)
	for _, name := range []string{"mismatch", "expired", "missing"} {
		w.create(name, nil)
	}
	begun := time.Now()
	for name, want := range map[string]struct{ reason, message string }{
		"mismatch": {v1alpha1.ReasonInvalidCertificate, `Secret "mismatch": tls.key`},
		"expired":  {v1alpha1.ReasonInvalidCertificate, "expired"},
		"missing":  {v1alpha1.ReasonSecretNotFound, `Secret "missing"`},
	} {
		cc := w.waitReason(name, want.reason)
		ready := readyOf(cc)
		if ready.Status != metav1.ConditionFalse || !strings.Contains(ready.Message, want.message) {
			t.Errorf("%s: Ready is %s with %q, want False with %q", name, ready.Status, ready.Message, want.message)
		}
		stalled := len(cc.Status.Conditions) == 2
		if stalled != (want.reason == v1alpha1.ReasonInvalidCertificate) {
			t.Errorf("%s: conditions %+v", name, cc.Status.Conditions)
		}
	}
	t.Logf("all three say what is wrong after %s", time.Since(begun).Round(time.Millisecond))

	// No hot loop: each Secret was looked for once for its verdict, and the one whose key
	// might have been half of a change once more after its time; besides, where the watch of
	// the Secret was behind that of the object.
	reads := map[string]int{}
	for _, read := range w.secretReads(0) {
		reads[read.Path[strings.LastIndexByte(read.Path, '/')+1:]]++
	}
	for name, least := range map[string]int{"mismatch": 2, "expired": 1, "missing": 1} {
		if n := reads[name]; n < least || n > least+lateReads {
			t.Errorf("Secret %s was read %d times, want %d, and at most %d for events that come late", name, n, least, lateReads)
		}
	}

	w.putSecret("mismatch", good)
	w.putSecret("expired", w.issue("www.example.com"))
	w.putSecret("missing", w.issue("www.example.com"))
	for _, name := range []string{"mismatch", "expired", "missing"} {
		cc := w.waitReason(name, v1alpha1.ReasonSynced)
		if len(cc.Status.Conditions) != 1 {
			t.Errorf("%s: conditions after its recovery: %+v", name, cc.Status.Conditions)
		}
	}
}

func TestSecretIsEmptiedDeletedAndChangesType(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	pair := w.issue("www.example.com")
	w.putData("web", corev1.SecretTypeOpaque, map[string][]byte{"tls.key": pair.PrivateKey, "tls.crt": nil})
	w.create("web", nil)
	if ready := readyOf(w.waitReason("web", v1alpha1.ReasonSecretNotFound)); !strings.Contains(ready.Message, "tls.crt") {
		t.Errorf("message %q does not name the empty key", ready.Message)
	}
	w.putData("web", corev1.SecretTypeOpaque, map[string][]byte{"tls.key": pair.PrivateKey, "tls.crt": pair.Certificate})
	synced := w.waitReason("web", v1alpha1.ReasonSynced)

	w.deleteSecret("web")
	gone := w.waitReason("web", v1alpha1.ReasonSecretNotFound)
	if gone.Status.CertID != synced.Status.CertID {
		t.Errorf("status lost the certificate that is still in the cloud: %+v", gone.Status)
	}
	w.putSecret("web", pair) // the same content in a Secret of another type
	again := w.waitReason("web", v1alpha1.ReasonSynced)
	if again.Status.CertID != synced.Status.CertID || again.Status.SecretUID == synced.Status.SecretUID {
		t.Errorf("status %+v, want certificate %d and another Secret", again.Status, synced.Status.CertID)
	}
	if n := len(w.certificates()); n != 1 {
		t.Errorf("%d certificates in the cloud, want 1", n)
	}
}

func TestTemporaryCertificateIsNotUploaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	issuing, err := testbed.NewCA("cert-manager.local")
	if err != nil {
		t.Fatal(err)
	}
	temporary, err := issuing.Issue(time.Hour, func(c *x509.Certificate) { c.Subject.SerialNumber = "1234567890" }, "www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	w.putSecret("web", temporary)
	w.create("web", nil)
	if ready := readyOf(w.waitReason("web", v1alpha1.ReasonProgressing)); ready.Status != metav1.ConditionUnknown {
		t.Errorf("Ready of a new object is %s, want Unknown", ready.Status)
	}
	w.putSecret("web", w.issue("www.example.com"))
	w.waitReason("web", v1alpha1.ReasonSynced)
	if n := len(w.certificates()); n != 1 {
		t.Errorf("%d certificates in the cloud, want 1", n)
	}
}

func TestSuspendStopsEveryCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	first := w.waitReason("web", v1alpha1.ReasonSynced)
	w.change("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.Suspend = true })
	if ready := readyOf(w.waitReason("web", v1alpha1.ReasonSuspended)); ready.Status != metav1.ConditionTrue || strings.Contains(ready.Message, "changed") {
		t.Errorf("Ready of a suspended object is %s: %s", ready.Status, ready.Message)
	}
	calls := len(w.cloud.Journal())
	w.putSecret("web", w.issue("www.example.com"))
	w.wait("web", "aware of the change", func(cc *v1alpha1.CloudCertificate) bool {
		return strings.Contains(readyOf(cc).Message, "changed")
	})
	if n := len(w.cloud.Journal()); n != calls {
		t.Errorf("%d calls while suspended", n-calls)
	}
	w.change("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.Suspend = false })
	w.wait("web", "renewed", func(cc *v1alpha1.CloudCertificate) bool {
		return readyOf(cc).Reason == v1alpha1.ReasonSynced && cc.Status.CertID != first.Status.CertID
	})
}

func TestLostStatusIsAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.NamePrefix = "shop" })
	first := w.waitReason("web", v1alpha1.ReasonSynced)

	for how, lose := range map[string]func(){
		"status removed while the operator runs": func() {
			cc := w.get("web")
			cc.Status = v1alpha1.CloudCertificateStatus{ObservedGeneration: -1}
			if err := kube.Status().Update(ctx, cc); err != nil {
				t.Fatal(err)
			}
		},
		"object deleted and made again": func() {
			if err := kube.Delete(ctx, w.get("web")); err != nil {
				t.Fatal(err)
			}
			w.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.NamePrefix = "shop" })
		},
	} {
		lose()
		got := w.waitReason("web", v1alpha1.ReasonSynced)
		if got.Status.CertID != first.Status.CertID || got.Status.Name != first.Status.Name || got.Status.ResourceID != first.Status.ResourceID {
			t.Errorf("%s: status %+v, want certificate %d again", how, got.Status, first.Status.CertID)
		}
		if n := len(w.certificates()); n != 1 {
			t.Errorf("%s: %d certificates in the cloud, want 1", how, n)
		}
	}
}

func TestResyncRepairsWhatWasDeletedOutOfBand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	first := w.waitReason("web", v1alpha1.ReasonSynced)
	resync := func(value string) *v1alpha1.CloudCertificate {
		w.change("web", func(cc *v1alpha1.CloudCertificate) {
			cc.Annotations = map[string]string{v1alpha1.AnnotationResync: value}
		})
		return w.wait("web", "resynced", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.LastHandledResync == value })
	}
	if got := resync("one"); got.Status.CertID != first.Status.CertID {
		t.Errorf("a resync of what is there made certificate %d", got.Status.CertID)
	}
	w.deleteInCloud(first.Status.CertID)
	got := resync("two")
	if got.Status.CertID == first.Status.CertID || got.Status.Name != first.Status.Name || len(got.Status.History) != 0 {
		t.Errorf("status %+v after the repair, want another certificate of the same name and no history", got.Status)
	}
	if n := len(w.certificates()); n != 1 {
		t.Errorf("%d certificates in the cloud, want 1", n)
	}
}

func TestAnotherRegionStartsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	first := w.waitReason("web", v1alpha1.ReasonSynced)
	w.change("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.Region = international })
	moved := w.waitReason("web", v1alpha1.ReasonSynced)
	if moved.Status.Region != international || len(moved.Status.History) != 0 || !strings.HasSuffix(moved.Status.CertIdentifier, "-"+international) {
		t.Errorf("status after the move: %+v", moved.Status)
	}
	if n := len(w.certificates()); n != 1 {
		t.Errorf("%d certificates left in the old region, want 1", n)
	}
	w.eventually(func() string {
		for _, e := range w.events() {
			if e.Reason == v1alpha1.ReasonLeftBehind && strings.Contains(e.Note, first.Status.Name) {
				return ""
			}
		}
		return "no LeftBehind event names the old certificate"
	})
}

func TestObjectsBringTheirOwnCredentials(t *testing.T) {
	t.Parallel()
	other := testAccount()
	other.ID, other.AccessKeyID, other.AccessKeySecret = "9999999999999999", "LTAIotherAccessKey", "other-access-key-secret-987654321"
	w := newWorld(t, emulator.Options{Accounts: []emulator.Account{testAccount(), other}},
		"--default-credentials-namespaces=somewhere-else")
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	denied := readyOf(w.waitReason("web", v1alpha1.ReasonCredentialsUnavailable))
	if !strings.Contains(denied.Message, "--default-credentials-namespaces") {
		t.Errorf("message %q does not say how to allow it", denied.Message)
	}

	w.change("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.CredentialsSecretRef.Name = "ak" })
	w.wait("web", "in want of the Secret", func(cc *v1alpha1.CloudCertificate) bool {
		return strings.Contains(readyOf(cc).Message, `Secret "ak" not found`)
	})
	w.putData("ak", corev1.SecretTypeOpaque, map[string][]byte{"accessKeyId": []byte(other.AccessKeyID)})
	w.wait("web", "in want of a key", func(cc *v1alpha1.CloudCertificate) bool {
		return strings.Contains(readyOf(cc).Message, "accessKeySecret is missing or empty")
	})
	w.putData("ak", corev1.SecretTypeOpaque, map[string][]byte{
		"accessKeyId": []byte(other.AccessKeyID), "accessKeySecret": []byte(other.AccessKeySecret + "\n"),
	})
	got := w.waitReason("web", v1alpha1.ReasonSynced)
	if got.Status.AccountID != other.ID {
		t.Errorf("uploaded to account %s, want %s", got.Status.AccountID, other.ID)
	}
	if n := len(w.cloud.Certificates(other.ID, region)); n != 1 {
		t.Errorf("%d certificates in the other account, want 1", n)
	}

	// The Secret now holds credentials of another account: the object starts anew there.
	w.putData("ak", corev1.SecretTypeOpaque, map[string][]byte{
		"accessKeyId": []byte(accessKeyID), "accessKeySecret": []byte(accessKey),
	})
	w.wait("web", "in the other account", func(cc *v1alpha1.CloudCertificate) bool {
		return cc.Status.AccountID == account && cc.Status.CertID != 0 && readyOf(cc).Reason == v1alpha1.ReasonSynced
	})
	if n := len(w.cloud.Certificates(other.ID, region)); n != 1 {
		t.Errorf("%d certificates in the account left behind, want 1", n)
	}
}

func TestOperatorAssumesItsRole(t *testing.T) {
	t.Parallel()
	const (
		role     = "acs:ram::" + account + ":role/cloudcert"
		provider = "acs:ram::" + account + ":oidc-provider/ack-rrsa"
		token    = "header.made-up-oidc-token.signature"
	)
	w := newWorld(t, emulator.Options{Accounts: []emulator.Account{{
		ID: account, Roles: []emulator.Role{{RoleARN: role, OIDCProviderARN: provider, Token: token}},
	}}})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = []string{
		"ALIBABA_CLOUD_ROLE_ARN=" + role, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN=" + provider, "ALIBABA_CLOUD_OIDC_TOKEN_FILE=" + file,
	}
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	if got := w.waitReason("web", v1alpha1.ReasonSynced); got.Status.AccountID != account {
		t.Errorf("uploaded to account %q, want %q", got.Status.AccountID, account)
	}
	roles := 0
	for _, call := range w.cloud.Journal() {
		if call.Action == "AssumeRoleWithOIDC" {
			roles++
		}
		if call.SecretInURL {
			t.Errorf("call %d (%s) had a secret in its URL", call.Number, call.Action)
		}
	}
	if roles != 1 {
		t.Errorf("the role was assumed %d times, want once", roles)
	}
	if strings.Contains(w.output(), token) {
		t.Error("the log holds the token")
	}
}

func TestOperatorWithoutCredentialsSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.env = nil
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	if ready := readyOf(w.waitReason("web", v1alpha1.ReasonCredentialsUnavailable)); !strings.Contains(ready.Message, "spec.credentialsSecretRef") {
		t.Errorf("message %q does not say what to do", ready.Message)
	}
	if n := len(w.cloud.Journal()); n != 0 {
		t.Errorf("%d calls without credentials", n)
	}
}

// TestLeaderHandsOverWhenItStops runs with leader election and the permissions of
// config/rbac: a leader that stops gives up its lease, so that the next one need
// not wait for its end, also in the middle of an upload.
func TestLeaderHandsOverWhenItStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--leader-elect", "--leader-election-namespace=cloudcert-system")
	for _, name := range []string{"first", "second", "interrupted"} {
		w.start()
		if name == "interrupted" {
			w.cloud.Inject(emulator.Fault{Kind: emulator.FaultHang, Action: "UploadUserCertificate", AfterCommit: true, Count: 1})
		}
		w.putSecret(name, w.issue(name+".example.com"))
		w.create(name, nil)
		if name == "interrupted" {
			w.eventually(func() string {
				if len(w.certificates()) < 3 {
					return "the upload has not taken effect"
				}
				return ""
			})
		} else {
			w.waitReason(name, v1alpha1.ReasonSynced)
		}
		w.stop()
		lease := &coordinationv1.Lease{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: "cloudcert-system", Name: "cloudcert.cloudcert.io"}, lease); err != nil {
			t.Fatal(err)
		}
		if holder := lease.Spec.HolderIdentity; holder != nil && *holder != "" {
			t.Errorf("the %s operator stopped and still holds the lease as %s", name, *holder)
		}
	}
	if cc := w.get("interrupted"); cc.Status.CertID != 0 {
		t.Errorf("the upload was not interrupted: %+v", cc.Status)
	}
	w.start()
	w.waitReason("interrupted", v1alpha1.ReasonSynced)
	if n := len(w.certificates()); n != 3 {
		t.Errorf("%d certificates of 3 objects", n)
	}
}

// TestTimeAloneChangesTheVerdict waits for certificates to become valid and to
// expire: nothing else wakes the objects.
func TestTimeAloneChangesTheVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	// Five minutes of tolerance for clocks: these become valid in a few seconds.
	soon, err := w.ca.Issue(time.Hour, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(5*time.Minute + 10*time.Second) }, "soon.example.com")
	if err != nil {
		t.Fatal(err)
	}
	brief, err := w.ca.Issue(15*time.Second, nil, "brief.example.com")
	if err != nil {
		t.Fatal(err)
	}
	w.putSecret("soon", soon)
	w.create("soon", nil)
	w.putSecret("brief", brief)
	w.create("brief", nil)
	if early := w.waitReason("soon", v1alpha1.ReasonInvalidCertificate); early.Status.CertID != 0 {
		t.Errorf("certificate %d was uploaded before its time", early.Status.CertID)
	}
	synced := w.waitReason("brief", v1alpha1.ReasonSynced)
	w.waitReason("soon", v1alpha1.ReasonSynced)
	expired := w.waitReason("brief", v1alpha1.ReasonInvalidCertificate)
	if expired.Status.CertID != synced.Status.CertID || !strings.Contains(readyOf(expired).Message, "expired") {
		t.Errorf("status of the expired certificate: %+v", expired.Status)
	}
	w.deleteInCloud(synced.Status.CertID)
	w.change("brief", func(cc *v1alpha1.CloudCertificate) {
		cc.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
	})
	w.wait("brief", "resynced", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.LastHandledResync == "now" })
	if n := len(w.certificates()); n != 1 {
		t.Errorf("%d certificates in the cloud: the expired one was made again", n)
	}
}

func TestOddCertificatesAreUploadedWithAWarning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.start()
	nameless, err := w.ca.Issue(48*time.Hour, func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "www.example.com" })
	if err != nil {
		t.Fatal(err)
	}
	older, err := w.ca.Issue(24*time.Hour, nil, "www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	w.putSecret("web", nameless)
	w.create("web", nil)
	first := w.waitReason("web", v1alpha1.ReasonSynced)
	w.putSecret("web", older)
	w.wait("web", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != first.Status.CertID })
	for _, reason := range []string{"NoSubjectAltName", v1alpha1.ReasonOlderCertificate} {
		w.eventually(func() string {
			for _, e := range w.events() {
				if e.Reason == reason && e.Type == corev1.EventTypeWarning {
					return ""
				}
			}
			return "there is no event " + reason
		})
	}
}

// TestKillInABacklogDuplicatesNothing kills the operator again and again while
// uploads are on their way, some of them taking effect without an answer.
func TestKillInABacklogDuplicatesNothing(t *testing.T) {
	t.Parallel()
	const n = 60
	w := newWorld(t, emulator.Options{
		LatencyBefore: emulator.Latency{Base: 50 * time.Millisecond, Jitter: 40 * time.Millisecond},
		LatencyAfter:  emulator.Latency{Base: 100 * time.Millisecond, Jitter: 90 * time.Millisecond},
	}, "--upload-qps=60")
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		w.putSecret(name, w.issue(name+".example.com"))
		w.create(name, nil)
	}
	for _, killAt := range []int{10, 30, 45} {
		w.start()
		w.eventually(func() string {
			if made := len(w.certificates()); made < killAt {
				return fmt.Sprintf("%d certificates, waiting for %d", made, killAt)
			}
			return ""
		})
		w.kill()
	}
	w.start()
	for i := range n {
		w.waitReason(fmt.Sprintf("web-%d", i), v1alpha1.ReasonSynced)
	}
	ids := map[int64]bool{}
	for i := range n {
		ids[w.get(fmt.Sprintf("web-%d", i)).Status.CertID] = true
	}
	if made := len(w.certificates()); made != n || len(ids) != n {
		t.Errorf("%d certificates in the cloud and %d in statuses for %d objects", made, len(ids), n)
	}
	adopted := 0
	for _, call := range w.cloud.Journal() {
		if call.Code == "NameRepeat" {
			adopted++
		}
	}
	t.Logf("%d uploads met a certificate whose making had not been seen", adopted)
}

// TestCertificatesGoToAllowedAccountsAlone gives the operator a list of accounts: an object
// with credentials of another one, and one whose account nobody can tell, get nothing.
func TestCertificatesGoToAllowedAccountsAlone(t *testing.T) {
	t.Parallel()
	thief := testAccount()
	thief.ID, thief.AccessKeyID, thief.AccessKeySecret = "9999999999999999", "LTAIthiefAccessKey", "thief-access-key-secret-987654321"
	w := newWorld(t, emulator.Options{Accounts: []emulator.Account{testAccount(), thief}}, "--allowed-account-ids="+account)
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.putData("ak", corev1.SecretTypeOpaque, map[string][]byte{
		"accessKeyId": []byte(thief.AccessKeyID), "accessKeySecret": []byte(thief.AccessKeySecret),
	})
	w.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.CredentialsSecretRef.Name = "ak" })
	got := w.waitReason("web", v1alpha1.ReasonAccountNotAllowed)
	if !meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionStalled) || !strings.Contains(readyOf(got).Message, thief.ID) {
		t.Errorf("conditions are %+v", got.Status.Conditions)
	}
	for _, call := range w.cloud.Journal() {
		if call.Action != "GetCallerIdentity" {
			t.Errorf("call %d is %s", call.Number, call.Action)
		}
	}

	// The Secret now holds credentials that may be used.
	w.putData("ak", corev1.SecretTypeOpaque, map[string][]byte{
		"accessKeyId": []byte(accessKeyID), "accessKeySecret": []byte(accessKey),
	})
	synced := w.waitReason("web", v1alpha1.ReasonSynced)
	if synced.Status.AccountID != account || meta.FindStatusCondition(synced.Status.Conditions, v1alpha1.ConditionStalled) != nil {
		t.Errorf("account %s, conditions %+v", synced.Status.AccountID, synced.Status.Conditions)
	}
	if n := len(w.cloud.Certificates(thief.ID, region)); n != 0 {
		t.Errorf("%d certificates in the account that is not allowed", n)
	}
}
