// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// international is the region that is not the default one.
const international = emulator.RegionInternational

// withoutLimit is for tests that count uploads or the answers to them. A machine that stalls lets calls that
// left at their pace arrive at once, and the cloud refuses some; the operator then sends them again. That it
// keeps to the limit is shown where time is not the machine's, in internal/cas and internal/ratelimit.
const withoutLimit = -1

func testAccount() emulator.Account {
	return emulator.Account{ID: account, AccessKeyID: accessKeyID, AccessKeySecret: accessKey}
}

// certificates are those of the test's account in the default region.
func (w *world) certificates() []emulator.Certificate { return w.cloud.Certificates(account, region) }

// deleteInCloud deletes a certificate behind the operator's back.
func (w *world) deleteInCloud(certID int64) {
	w.t.Helper()
	if !w.cloud.DeleteOutOfBand(account, region, certID) {
		w.t.Fatalf("certificate %d is not there to be deleted", certID)
	}
}

// events are those in the test's namespace.
func (w *world) events() []eventsv1.Event {
	w.t.Helper()
	list := &eventsv1.EventList{}
	if err := kube.List(ctx, list, inNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

func (w *world) deleteSecret(name string) {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
	if err := kube.Delete(ctx, secret); err != nil {
		w.t.Fatal(err)
	}
}

func inNamespace(name string) client.ListOption { return client.InNamespace(name) }

// leafFacts are what the status must say of a certificate.
type leafFacts struct {
	fingerprint, serial string
	notAfter            time.Time
}

func certificateFacts(t *testing.T, pair testbed.Pair) leafFacts {
	t.Helper()
	block, _ := pem.Decode(pair.Certificate)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.Raw)
	return leafFacts{fingerprint: hex.EncodeToString(sum[:]), serial: leaf.SerialNumber.Text(16), notAfter: leaf.NotAfter}
}
