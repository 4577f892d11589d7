// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// fleet is an operator with an object of both kinds in every state that can last.
type fleet struct {
	*market

	metrics string // the address that serves them
	lease   *coordinationv1.Lease
}

// newFleet makes an operator that does not lead yet: somebody else holds its lease. It has
// temporary credentials of a role.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	const (
		role     = "acs:ram::" + account + ":role/cloudcert"
		provider = "acs:ram::" + account + ":oidc-provider/ack-rrsa"
		token    = "header.made-up-oidc-token.signature"
	)
	address, err := testbed.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	options := emulator.Options{Accounts: []emulator.Account{{
		ID: account, Roles: []emulator.Role{{RoleARN: role, OIDCProviderARN: provider, Token: token}},
	}, {ID: "9876543210987654", AccessKeyID: strangersKey, AccessKeySecret: accessKey}}}
	w := newMarketOf(t, options, products.Options{})
	w.args = slices.DeleteFunc(w.args, func(arg string) bool { return arg == "--metrics-bind-address=0" })
	w.args = append(w.args, "--metrics-bind-address="+address, "--cluster-id=fleet", "--allowed-account-ids="+account, "--leader-elect", "--leader-election-namespace="+w.namespace,
		"--drift-interval=10s", "--prune-delay=1s", "--settle-delay=1s", "--max-versions-per-hour=2")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = []string{
		"ALIBABA_CLOUD_ROLE_ARN=" + role, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN=" + provider, "ALIBABA_CLOUD_OIDC_TOKEN_FILE=" + file,
	}
	f := &fleet{market: w, metrics: address}
	f.allowLeases()
	f.holdLease()
	return f
}

// allowLeases lets the operator elect a leader in the namespace of the test.
func (f *fleet) allowLeases() {
	f.t.Helper()
	for _, object := range leaseRoles(f.namespace) {
		if err := kube.Create(ctx, object); err != nil {
			f.t.Fatal(err)
		}
	}
}

// holdLease makes somebody else the leader.
func (f *fleet) holdLease() {
	f.t.Helper()
	now := metav1.NowMicro()
	f.lease = &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "cloudcert.cloudcert.io"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new("somebody else"), LeaseDurationSeconds: new(int32(3600)), AcquireTime: &now, RenewTime: &now, LeaseTransitions: new(int32(0)),
		},
	}
	if err := kube.Create(ctx, f.lease); err != nil {
		f.t.Fatal(err)
	}
}

// lead lets the operator lead.
func (f *fleet) lead() {
	f.t.Helper()
	f.lease.Spec.HolderIdentity = new("")
	if err := kube.Update(ctx, f.lease); err != nil {
		f.t.Fatal(err)
	}
}

// populate makes an object in every state, and waits until each is in it.
func (f *fleet) populate() {
	f.t.Helper()
	f.misbehave()
	want := map[string]string{}
	for name, begin := range map[string]func(name string) (reason string){
		"synced":    func(name string) string { f.add(name, nil); return v1alpha1.ReasonSynced },
		"ageing":    f.makeAgeing,
		"denied":    func(name string) string { f.add(name, nil); return v1alpha1.ReasonAccessDenied },
		"full":      func(name string) string { f.add(name, nil); return v1alpha1.ReasonQuotaExceeded },
		"failing":   func(name string) string { f.add(name, nil); return v1alpha1.ReasonUploadFailed },
		"taken":     func(name string) string { f.add(name, nil); return v1alpha1.ReasonProgressing },
		"missing":   func(name string) string { f.create(name, nil); return v1alpha1.ReasonSecretNotFound },
		"conflict":  f.makeConflict,
		"lost-keys": f.makeWithoutCredentials,
		"stranger":  f.makeNotAllowed,
		"bad": func(name string) string {
			f.putSecret(name, testbed.Pair{Certificate: []byte("no certificate"), PrivateKey: []byte("no key")})
			f.create(name, nil)
			return v1alpha1.ReasonInvalidCertificate
		},
		"vanished": func(name string) string { f.add(name, nil); return v1alpha1.ReasonSynced },
		"blocked": func(name string) string {
			f.add(name, func(cc *v1alpha1.CloudCertificate) { cc.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete })
			return v1alpha1.ReasonSynced
		},
		"pruned":    func(name string) string { f.add(name, keepNone); return v1alpha1.ReasonSynced },
		"unpruned":  func(name string) string { f.add(name, keepNone); return v1alpha1.ReasonSynced },
		"busy":      func(name string) string { f.add(name, nil); return v1alpha1.ReasonSynced },
		"suspended": func(name string) string { f.add(name, nil); return v1alpha1.ReasonSynced },
	} {
		want[name] = begin(name)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		f.waitReason(name, want[name])
	}
	f.unsettle()
	f.bindAll()
}

func keepNone(cc *v1alpha1.CloudCertificate) { cc.Spec.RevisionHistoryLimit = new(int32(0)) }

// add makes a Secret and its object.
func (f *fleet) add(name string, change func(*v1alpha1.CloudCertificate)) {
	f.t.Helper()
	f.putSecret(name, f.issue(name+".example.com"))
	f.create(name, change)
}

// misbehave makes the cloud fail for objects by their names.
func (f *fleet) misbehave() {
	upload := "UploadUserCertificate"
	for _, fault := range []emulator.Fault{
		{Kind: emulator.FaultDenied, Action: upload, NameContains: "_denied_"},
		{Kind: emulator.FaultFail, Code: "InsufficientQuota", Status: 400, Action: upload, NameContains: "_full_"},
		{Kind: emulator.FaultFail, Code: "InternalError", Status: 500, Action: upload, NameContains: "_failing_"},
		{Kind: emulator.FaultNameTaken, Action: upload, NameContains: "_taken_"},
		{Kind: emulator.FaultThrottle, Action: upload, Count: 1},
	} {
		f.cloud.Inject(fault)
	}
}

// makeAgeing makes one whose certificate has less than a third of its life left.
func (f *fleet) makeAgeing(name string) string {
	pair, err := f.ca.Issue(24*time.Hour, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-90 * 24 * time.Hour) }, name+".example.com")
	if err != nil {
		f.t.Fatal(err)
	}
	f.putSecret(name, pair)
	f.create(name, nil)
	return v1alpha1.ReasonSynced
}

// makeConflict makes one whose name in the cloud another certificate has.
func (f *fleet) makeConflict(name string) string {
	pair := f.issue(name + ".example.com")
	secret := &corev1.Secret{Data: map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.PrivateKey}}
	content, err := bundle.Load(secret, bundle.Options{Now: time.Now()})
	if err != nil {
		f.t.Fatal(err)
	}
	inCloud := bundle.Name(bundle.DefaultPrefix(f.namespace, name), bundle.Identity("fleet", f.namespace, name), content.Hash.Content())
	if _, err := f.cloud.AddForeign(account, region, emulator.Foreign{Name: inCloud, PEM: string(f.issue("other.example.com").Certificate)}); err != nil {
		f.t.Fatal(err)
	}
	f.putSecret(name, pair)
	f.create(name, nil)
	return v1alpha1.ReasonNameConflict
}

func (f *fleet) makeWithoutCredentials(name string) string {
	f.add(name, func(cc *v1alpha1.CloudCertificate) { cc.Spec.CredentialsSecretRef.Name = "not-there" })
	return v1alpha1.ReasonCredentialsUnavailable
}

// strangersKey is a key of an account that the operator may not use.
const strangersKey = "LTAIstrangersAccessKey"

func (f *fleet) makeNotAllowed(name string) string {
	f.putData("strangers-keys", corev1.SecretTypeOpaque, map[string][]byte{"accessKeyId": []byte(strangersKey), "accessKeySecret": []byte(accessKey)})
	f.add(name, func(cc *v1alpha1.CloudCertificate) { cc.Spec.CredentialsSecretRef.Name = "strangers-keys" })
	return v1alpha1.ReasonAccountNotAllowed
}

// unsettle brings synced objects into the states that need a certificate in the cloud.
func (f *fleet) unsettle() {
	f.t.Helper()
	f.change("suspended", func(cc *v1alpha1.CloudCertificate) { cc.Spec.Suspend = true })
	f.waitReason("suspended", v1alpha1.ReasonSuspended)
	f.renew("suspended")

	first := f.get("pruned").Status.CertID
	f.renew("pruned")
	f.wait("pruned", "renewed and pruned", func(cc *v1alpha1.CloudCertificate) bool {
		return cc.Status.CertID != first && cc.Status.HistoryTotal == 0 && !slices.Contains(f.ids(), first)
	})
	f.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: "DeleteUserCertificate"})
	f.renew("unpruned")
	f.waitEvent("unpruned", v1alpha1.ReasonPruneFailed)
	f.remove("blocked")
	f.waitReason("blocked", v1alpha1.ReasonDeletionBlocked)

	first = f.get("busy").Status.CertID
	f.renew("busy")
	f.wait("busy", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != first })
	f.renew("busy")
	f.waitReason("busy", v1alpha1.ReasonThrottled)
}

// pruneAgain has the operator try again to delete a superseded version, a number of times.
func (f *fleet) pruneAgain(times int) {
	f.t.Helper()
	for i := range times {
		value := fmt.Sprint("attempt ", i)
		f.change("unpruned", func(cc *v1alpha1.CloudCertificate) {
			cc.Annotations = map[string]string{v1alpha1.AnnotationResync: value}
		})
		f.wait("unpruned", "asked to prune", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.LastHandledResync == value })
	}
}

// renew issues a certificate anew.
func (f *fleet) renew(name string) {
	f.t.Helper()
	f.putSecret(name, f.issue(name+".example.com"))
}

// vanish deletes a certificate in the cloud, and waits until it is there again. What an
// operator uploaded a moment ago it takes to be there, so it is begun anew.
func (f *fleet) vanish(between func()) {
	f.t.Helper()
	synced := f.get("vanished")
	f.stop()
	f.cloud.DeleteOutOfBand(account, region, synced.Status.CertID)
	f.start()
	between()
	f.wait("vanished", "uploaded again", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != synced.Status.CertID })
}

// scrape reads the metrics.
func (f *fleet) scrape() map[string]metric {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+f.metrics+"/metrics", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	return parseMetrics(f.t, answer.Body)
}

func parseMetrics(t *testing.T, body io.Reader) map[string]metric {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(body)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]metric{}
	for name, family := range families {
		m := metric{Type: kindOf(family), Series: len(family.GetMetric())}
		for _, label := range family.GetMetric()[0].GetLabel() {
			m.Labels = append(m.Labels, label.GetName())
		}
		slices.Sort(m.Labels)
		found[name] = m
	}
	return found
}

// TestMetricsAreWhatTheirPageSays compares docs/metrics.md with what an operator serves that
// has an object in every state, both ways.
func TestMetricsAreWhatTheirPageSays(t *testing.T) {
	t.Parallel()
	documented, byLeader, perObject := readMetricsPage(t)
	f := newFleet(t)
	f.start()
	standby := f.scrape()
	for name, m := range standby {
		if perObject[name] || documented[name].Type == "gauge" && byLeader[name] && m.Series > 0 && name != "cloudcert_drift_interval_seconds" {
			t.Errorf("a replica that does not lead serves %s", name)
		}
	}
	f.lead()
	f.populate()
	f.vanish(func() {})
	var served map[string]metric
	f.eventually(func() string { // some are counted after the status that populate waits for is written
		served = ours(f.scrape())
		return cmp.Diff(documented, served, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Series" }, cmp.Ignore()))
	})
	objects := &v1alpha1.CloudCertificateList{}
	if err := kube.List(ctx, objects, client.InNamespace(f.namespace)); err != nil {
		t.Fatal(err)
	}
	if got := served["cloudcert_certificate_ready"].Series; got != len(objects.Items) {
		t.Errorf("%d series of %d objects", got, len(objects.Items))
	}

	f.remove("denied")
	f.waitGone("denied")
	f.eventually(func() string {
		if f.scrape()["cloudcert_certificate_ready"].Series == len(objects.Items)-1 {
			return ""
		}
		return "the series of a deleted object is still there"
	})
	bindings := f.bindings()
	if got := served["cloudcert_binding_ready"].Series; got != len(bindings) {
		t.Errorf("%d series of %d bindings", got, len(bindings))
	}
	f.check(f.kube.Delete(ctx, f.binding("forbidden")))
	f.eventually(func() string {
		if f.scrape()["cloudcert_binding_ready"].Series == len(bindings)-1 {
			return ""
		}
		return "the series of a deleted binding is still there"
	})
	f.stop()
	f.args = append(f.args, "--metrics-per-object=false")
	f.start()
	f.eventually(func() string {
		served := f.scrape()
		for name := range perObject {
			if served[name].Series > 0 {
				t.Fatalf("--metrics-per-object=false serves %s", name)
			}
		}
		if served["cloudcert_certificates"].Series > 0 && served["cloudcert_bindings"].Series > 0 {
			return ""
		}
		return "the sums are not there"
	})
}
