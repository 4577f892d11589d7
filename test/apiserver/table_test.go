// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// refusedByTheCloud are rows that cloudcert lets pass, because it is unknown what
// the cloud does, and that the emulator refuses with a code.
var refusedByTheCloud = map[string]string{
	"an intermediate that has expired":                  "CertificateExpired",
	"an intermediate that is no CA":                     "CertificateChainNotMatch",
	"an intermediate that may not signing certificates": "CertificateChainNotMatch",
	"a chain of more than 100 KiB":                      "DataTooLongException",
	"Ed25519":                                           "PrivateKeyFormatException",
}

// tableCase is a row of the table as a Secret and a CloudCertificate of one name,
// which the name in the cloud begins with.
type tableCase struct {
	bundletest.Row
	title, name, verdict, message string
	data                          bundletest.Data
}

// TestEveryRowOfTheTable puts all rows of docs/certificates.md on the cluster and
// compares what the status and the events say with what the page says.
func TestEveryRowOfTheTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{UploadLimit: withoutLimit})
	cases := tableCases(t)
	for _, c := range cases {
		w.putData(c.name, secretType(c.data), c.data)
		w.create(c.name, func(cc *v1alpha1.CloudCertificate) {
			cc.Spec.NamePrefix = c.name
			if c.SM {
				cc.Spec.Type = v1alpha1.CertificateTypeSM
			}
			cc.Spec.Keys.Certificate, cc.Spec.Keys.PrivateKey = v1alpha1.SecretKey(c.Keys.Certificate), v1alpha1.SecretKey(c.Keys.PrivateKey)
		})
	}
	w.start()
	want, certificates := map[string][]string{}, 0 // codes of the uploads of each case
	for _, c := range cases {
		code, refused := refusedByTheCloud[c.Shape]
		if refused {
			want[c.name] = []string{code}
		} else if c.Want == bundletest.Accepted || c.Want == bundletest.Warned {
			want[c.name] = []string{""}
			certificates++
		}
		t.Run(c.title, func(t *testing.T) {
			w := *w
			w.t = t
			switch {
			case refused:
				w.checkRefusedByTheCloud(c, code)
			case want[c.name] != nil:
				w.checkUploaded(c)
			default:
				w.checkNotUploaded(c)
			}
		})
	}
	uploads := map[string][]string{}
	for _, call := range w.cloud.Journal() {
		if call.Action == "UploadUserCertificate" {
			name, _, _ := strings.Cut(call.Name, "_")
			uploads[name] = append(uploads[name], call.Code)
		}
	}
	if diff := cmp.Diff(want, uploads); diff != "" {
		t.Errorf("answers to the uploads of each row (-want +got):\n%s", diff)
	}
	if n := len(w.certificates()); n != certificates {
		t.Errorf("%d certificates in the cloud, want %d", n, certificates)
	}
}

// checkUploaded checks that a row became one certificate with the right leaf, and
// what the events say of it.
func (w *world) checkUploaded(c tableCase) {
	w.t.Helper()
	status := w.waitReason(c.name, v1alpha1.ReasonSynced).Status
	if ready := meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady); !ready || len(status.Conditions) != 1 {
		w.t.Errorf("conditions %+v", status.Conditions)
	}
	leaf := leafOf(w.t, c.data)
	if status.Certificate.FingerprintSHA256 != leaf {
		w.t.Errorf("status describes %+v, want fingerprint %s", status.Certificate, leaf)
	}
	var found []emulator.Certificate
	for _, made := range w.certificates() {
		if strings.HasPrefix(made.Name, c.name+"_") {
			found = append(found, made)
		}
	}
	if len(found) != 1 || found[0].CertID != status.CertID || found[0].Name != status.Name || !strings.EqualFold(found[0].SHA256, leaf) {
		w.t.Errorf("the cloud holds %+v, want certificate %d, %s, with fingerprint %s", found, status.CertID, status.Name, leaf)
	}
	var says []string
	if c.Want == bundletest.Warned {
		says = slices.Sorted(slices.Values(strings.Split(c.message, "<br>")))
	}
	w.eventually(func() string { return cmp.Diff(says, w.warningsOf(c.name)) })
}

// checkNotUploaded checks that the status says of a row what the page says.
func (w *world) checkNotUploaded(c tableCase) {
	w.t.Helper()
	want := map[bundletest.Verdict]struct {
		reason  string
		ready   metav1.ConditionStatus
		stalled bool
	}{
		bundletest.Refused: {v1alpha1.ReasonInvalidCertificate, metav1.ConditionFalse, true},
		bundletest.Early:   {v1alpha1.ReasonInvalidCertificate, metav1.ConditionFalse, true},
		bundletest.Missing: {v1alpha1.ReasonSecretNotFound, metav1.ConditionFalse, false},
		bundletest.Pending: {v1alpha1.ReasonProgressing, metav1.ConditionUnknown, false},
	}[c.Want]
	cc := w.waitReason(c.name, want.reason)
	ready := readyOf(cc)
	if message := fmt.Sprintf("Secret %q: %s", c.name, c.message); withoutTimes(ready.Message) != message {
		w.t.Errorf("the message differs from the page (-page +status):\n%s", cmp.Diff(message, withoutTimes(ready.Message)))
	}
	if stalled := meta.IsStatusConditionTrue(cc.Status.Conditions, v1alpha1.ConditionStalled); ready.Status != want.ready || stalled != want.stalled {
		w.t.Errorf("conditions %+v, want Ready %s and stalled %t", cc.Status.Conditions, want.ready, want.stalled)
	}
	if cc.Status.CertID != 0 || cc.Status.Name != "" {
		w.t.Errorf("status names a certificate: %+v", cc.Status)
	}
}

// checkRefusedByTheCloud checks that a refusal comes back with its code, and that
// it is not final.
func (w *world) checkRefusedByTheCloud(c tableCase, code string) {
	w.t.Helper()
	cc := w.waitReason(c.name, v1alpha1.ReasonInvalidCertificate)
	if ready := readyOf(cc); ready.Status != metav1.ConditionFalse || !strings.Contains(ready.Message, "the cloud refuses") || !strings.Contains(ready.Message, code) {
		w.t.Errorf("Ready is %s with %q, want False and the code %s", ready.Status, ready.Message, code)
	}
	if meta.IsStatusConditionTrue(cc.Status.Conditions, v1alpha1.ConditionStalled) {
		w.t.Errorf("conditions %+v: what is tried again is not stalled", cc.Status.Conditions)
	}
}

// warningsOf are the warnings of an object as the page writes them.
func (w *world) warningsOf(name string) []string {
	w.t.Helper()
	var out []string
	for _, e := range w.events() {
		if e.Regarding.Name == name && e.Type == corev1.EventTypeWarning {
			out = append(out, fmt.Sprintf("`%s`: %s", e.Reason, withoutTimes(e.Note)))
		}
	}
	slices.Sort(out)
	return out
}

// tableCases makes a case of each row that a cluster can hold, and of each shape
// that cert-manager writes another one, with ca.crt where it had none and without
// where it had one.
func tableCases(t *testing.T) []tableCase {
	t.Helper()
	page, at := readPage(t), bundletest.Clock(time.Now())
	var out []tableCase
	add := func(c tableCase, title string, data bundletest.Data) {
		c.title, c.name, c.data = title, fmt.Sprintf("row%d", len(out)), data
		out = append(out, c)
	}
	for _, s := range at.Table() {
		for _, r := range s.Rows {
			key := s.Title + ": " + r.Shape
			c, ok := page[key]
			if delete(page, key); !ok || c.verdict != r.Want.String() {
				t.Errorf("%s: the page says %q, the table %q", key, c.verdict, r.Want)
			}
			c.Row = r
			data := r.Data(t)
			if tooLarge(data) {
				refusedByTheServer(t, data)
				continue
			}
			add(c, key, data)
			if strings.HasPrefix(r.Shape, "cert-manager, ") {
				other := maps.Clone(data)
				if _, has := other["ca.crt"]; has {
					delete(other, "ca.crt")
				} else {
					other["ca.crt"] = bundletest.CertPEM(at.Hierarchy(t, bundletest.P256(t)).Root)
				}
				add(c, key+", ca.crt the other way", other)
			}
		}
	}
	for key := range page {
		t.Errorf("the page has a row that the table lacks: %s", key)
	}
	return out
}

// readPage reads the table that users read.
func readPage(t *testing.T) map[string]tableCase {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testbed.Root(), "docs", "certificates.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- table: ")
	table, _, _ = strings.Cut(table, "<!-- end of table -->")
	page, section := map[string]tableCase{}, ""
	for line := range strings.Lines(table) {
		if title, ok := strings.CutPrefix(line, "### "); ok {
			section = strings.TrimSpace(title)
		}
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 || cells[1] == "verdict" {
			continue
		}
		page[section+": "+strings.TrimPrefix(cells[0], "| ")] = tableCase{
			verdict: cells[1], message: withoutTimes(strings.TrimSuffix(cells[2], " |")),
		}
	}
	return page
}

var moments = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func withoutTimes(text string) string { return moments.ReplaceAllString(text, "TIME") }

func tooLarge(data bundletest.Data) bool {
	size := 0
	for _, value := range data {
		size += len(value)
	}
	return size > corev1.MaxSecretSize
}

// refusedByTheServer checks that a Secret never gets as far as cloudcert.
func refusedByTheServer(t *testing.T, data bundletest.Data) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "too-large"}, Data: data}
	if err := kube.Create(ctx, secret); !apierrors.IsInvalid(err) {
		t.Errorf("a Secret of more than %d bytes: %v", corev1.MaxSecretSize, err)
	}
}

// secretType is that of kubectl create secret tls where it fits.
func secretType(data bundletest.Data) corev1.SecretType {
	_, hasCertificate := data[corev1.TLSCertKey]
	if _, hasKey := data[corev1.TLSPrivateKeyKey]; hasCertificate && hasKey {
		return corev1.SecretTypeTLS
	}
	return corev1.SecretTypeOpaque
}

var (
	blocks = regexp.MustCompile(`(?s)-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----`)
	// dress is what some rows have within a block: escaped line ends and headers.
	dress = regexp.MustCompile(`\\+[rn]|\n\w+: .*\n`)
)

// leafOf is the fingerprint of the one certificate in a Secret that was made for
// the server, to sign with where there are two; however the Secret is written.
func leafOf(t *testing.T, data bundletest.Data) string {
	t.Helper()
	found := map[string]bool{}
	for _, value := range data {
		for _, block := range blocks.FindAllSubmatch(value, -1) {
			der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(dress.ReplaceAll(block[1], nil)), nil)))
			if err != nil {
				t.Fatal(err)
			}
			c, err := smx509.ParseCertificate(der)
			if err != nil {
				continue // a row about what cannot be parsed beside the leaf
			}
			if serial := c.SerialNumber.Int64(); serial == 0x1001 || serial == bundletest.NegativeSerial || serial == 0x3001 {
				sum := sha256.Sum256(c.Raw)
				found[hex.EncodeToString(sum[:])] = true
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("the Secret holds %d leaves", len(found))
	}
	return slices.Collect(maps.Keys(found))[0]
}
