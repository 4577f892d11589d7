// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// TestEveryFailureKeepsSecretsAndLosesNothing drives every fault of the emulator,
// each against an object of its own, before and after the call took effect. It
// then searches everything that the operator put out for key material, lets the
// faults end, and expects one certificate for each object.
func TestEveryFailureKeepsSecretsAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	metrics, err := testbed.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	w.args = append(w.args, "--metrics-bind-address="+metrics, "--zap-log-level=5")
	w.start()

	secrets := newNeedles()
	secrets.add("access key secret", accessKey)
	var names []string
	for i, fault := range everyFault() {
		name := fmt.Sprintf("fault-%d", i)
		names = append(names, name)
		w.injectFor(fmt.Sprintf("fault_%d_", i), fault)
		pair := w.issue(name + ".example.com")
		secrets.addKey(pair.PrivateKey)
		w.putSecret(name, pair)
		w.create(name, func(cc *v1alpha1.CloudCertificate) { cc.Spec.NamePrefix = fmt.Sprintf("fault_%d_", i) })
	}
	bad := w.issue("bad.example.com")
	secrets.addKey(bad.PrivateKey)
	w.putSecret("bad", testbed.Pair{Certificate: bad.PrivateKey, PrivateKey: bad.PrivateKey}) // the key where the certificate should be
	w.create("bad", nil)
	w.waitReason("bad", v1alpha1.ReasonInvalidCertificate)
	w.eventually(func() string { return w.unmet() })

	w.cloud.ClearFaults()
	for _, name := range names { // what is retried slowly is asked for now
		w.change(name, func(cc *v1alpha1.CloudCertificate) {
			cc.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
		})
	}
	for _, name := range names {
		w.waitReason(name, v1alpha1.ReasonSynced)
	}
	if n := len(w.certificates()); n != len(names) {
		t.Errorf("%d certificates for %d objects", n, len(names))
	}

	for where, text := range w.everything(metrics) {
		if len(text) == 0 {
			t.Errorf("%s: nothing was put out, so nothing was searched", where)
		}
		for _, what := range secrets.in(text) {
			t.Errorf("%s holds %s", where, what)
		}
	}
	for _, call := range w.cloud.Journal() {
		if call.SecretInURL {
			t.Errorf("call %d (%s) had a secret in its URL", call.Number, call.Action)
		}
		if call.KeyReturned {
			t.Errorf("call %d (%s) asked for a private key", call.Number, call.Action)
		}
	}
}

// everyFault is every kind before and after the call takes effect, and the codes
// that decide what a person is told.
func everyFault() []emulator.Fault {
	var faults []emulator.Fault
	for _, kind := range emulator.FaultKinds() {
		for _, after := range []bool{false, true} {
			faults = append(faults, emulator.Fault{Kind: kind, AfterCommit: after, Delay: time.Second})
		}
	}
	for _, code := range []string{
		"InsufficientQuota", "InternalError", "CertificateFormatException", "InvalidAccessKeyId.NotFound",
		"InvalidSecurityToken.Expired", "InvalidTimeStamp.Expired", "Forbidden.RAM", "Never.HeardOf",
	} {
		faults = append(faults, emulator.Fault{Kind: emulator.FaultFail, Code: code, Status: http.StatusBadRequest})
	}
	return faults
}

// injectFor makes a fault strike the uploads under a prefix; one of lists strikes
// the look-up after an upload whose answer was lost.
func (w *world) injectFor(prefix string, fault emulator.Fault) {
	fault.NameContains = prefix
	if fault.Kind == emulator.FaultShortPage || fault.Kind == emulator.FaultTotalCount {
		fault.NameContains, fault.Count = "", 3 // these are of pages, not of entries
	}
	if fault.Kind.OfLists() {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultReset, AfterCommit: true, NameContains: prefix, Action: "UploadUserCertificate", Count: 1})
	} else {
		fault.Action = "UploadUserCertificate"
	}
	w.cloud.Inject(fault)
}

// unmet names a kind of fault that no call has met and finished yet.
func (w *world) unmet() string {
	met := map[emulator.FaultKind]bool{}
	for _, call := range w.cloud.Journal() {
		for _, kind := range call.Faults {
			met[kind] = met[kind] || !call.Finished.IsZero()
		}
	}
	for _, kind := range emulator.FaultKinds() {
		if !met[kind] {
			return fmt.Sprintf("fault %s struck no call", kind)
		}
	}
	return ""
}

// everything is all that the operator put out, by where it did.
func (w *world) everything(metrics string) map[string]string {
	w.t.Helper()
	out := map[string]string{"the log": w.output()}
	for _, e := range w.events() {
		out["events"] += fmt.Sprintf("%+v\n", e)
	}
	list := &v1alpha1.CloudCertificateList{}
	if err := kube.List(ctx, list, inNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	objects, err := json.Marshal(list)
	if err != nil {
		w.t.Fatal(err)
	}
	out["objects"] = string(objects)
	for _, request := range w.proxy.Requests() {
		out["requests to the API server"] += fmt.Sprintf("%s %s %v %s\n", request.Method, request.Path, request.Query, request.Body)
	}
	response, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	out["metrics"] = string(body)
	return out
}

// needles are secrets in every dress in which they could show, by what they are.
type needles map[string]string

func newNeedles() needles { return needles{} }

func (n needles) add(what, secret string) {
	n[secret] = what
	n[url.QueryEscape(secret)] = what + " in URL encoding"
	n[base64.StdEncoding.EncodeToString([]byte(secret))] = what + " in base64"
}

// addKey adds a private key: each line of its PEM, its DER in hex, and the PEM in
// base64, as a Secret holds it, cut so that no alignment hides it.
func (n needles) addKey(private []byte) {
	block, _ := pem.Decode(private)
	n[hex.EncodeToString(block.Bytes)[20:80]] = "a private key in hex"
	for line := range strings.Lines(string(private)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") && len(line) > 20 {
			n.add("a private key", line)
		}
	}
	for shift := range 3 {
		n[base64.StdEncoding.EncodeToString(private[60+shift:])[:40]] = "a private key in base64"
	}
	n["PRIVATE KEY-----"] = "the frame of a private key"
}

// in says which secrets a text holds.
func (n needles) in(text string) []string {
	var found []string
	for needle, what := range n {
		if strings.Contains(text, needle) {
			found = append(found, what)
		}
	}
	return found
}

// TestNeedlesAreFound shows that the search can fail.
func TestNeedlesAreFound(t *testing.T) {
	t.Parallel()
	ca, err := testbed.NewCA("Test CA")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(time.Hour, nil, "a.example.com")
	if err != nil {
		t.Fatal(err)
	}
	n := newNeedles()
	n.addKey(pair.PrivateKey)
	n.add("access key secret", "s3cret+/=")
	block, _ := pem.Decode(pair.PrivateKey)
	for name, text := range map[string]string{
		"PEM":           string(pair.PrivateKey),
		"PEM in JSON":   fmt.Sprintf("%q", pair.PrivateKey),
		"PEM in a form": url.Values{"Key": {string(pair.PrivateKey)}}.Encode(),
		"Secret's data": base64.StdEncoding.EncodeToString(pair.PrivateKey),
		"an annotation": base64.StdEncoding.EncodeToString(append([]byte("x"), pair.PrivateKey...)),
		"hex":           hex.EncodeToString(block.Bytes),
		"a credential":  "https://host/?AccessKeySecret=" + url.QueryEscape("s3cret+/="),
	} {
		if len(n.in("some text before "+text+" and after")) == 0 {
			t.Errorf("%s: a secret was not found", name)
		}
	}
	if found := n.in("a text without any"); len(found) != 0 {
		t.Errorf("found %v where nothing is", found)
	}
}
