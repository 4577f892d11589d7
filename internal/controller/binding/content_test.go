// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/targets"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// tlsSecret makes the Secret "web-tls" with a certificate under keys of the spec's choice.
func tlsSecret(t *testing.T, certificateKey string) *corev1.Secret {
	t.Helper()
	ca, err := testbed.NewCA("Test CA")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(time.Hour, nil, "www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-tls"},
		Data:       map[string][]byte{certificateKey: pair.Certificate, "tls.key": pair.PrivateKey},
	}
}

// TestContentIsWhatTheStatusNames: the key is read for one product, is that of the certificate which the
// status names, and goes to the account which has that.
func TestContentIsWhatTheStatusNames(t *testing.T) {
	t.Parallel()
	const account = "1234567890123456"
	ours := tlsSecret(t, "chain")
	content, err := bundle.Load(ours, bundle.Options{Now: time.Now(), Keys: bundle.Keys{Certificate: "chain"}})
	if err != nil {
		t.Fatal(err)
	}
	broken := ours.DeepCopy()
	broken.Data["tls.key"] = tlsSecret(t, "chain").Data["tls.key"]
	certificate := &v1alpha1.CloudCertificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec: v1alpha1.CloudCertificateSpec{
			SecretRef: v1alpha1.SecretReference{Name: "web-tls"}, Keys: v1alpha1.SecretKeys{Certificate: "chain"},
		},
		Status: v1alpha1.CloudCertificateStatus{AccountID: account, ContentHash: content.Hash.String()},
	}
	for name, tc := range map[string]struct {
		secret  *corev1.Secret
		account string
		class   targets.Class
		want    string
	}{
		"that of the status":        {secret: ours, account: account},
		"another certificate":       {tlsSecret(t, "chain"), account, targets.Progressing, "status.contentHash"},
		"a key of another":          {broken, account, targets.Progressing, "does not hold a certificate"},
		"no Secret":                 {nil, account, targets.Progressing, "does not exist"},
		"an account of others":      {ours, "6543210987654321", targets.Unauthenticated, "no other"},
		"an account nobody knows":   {ours, "", targets.Unauthenticated, "sts:GetCallerIdentity"},
		"the certificate elsewhere": {tlsSecret(t, "tls.crt"), account, targets.Progressing, "does not hold a certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live := fake.NewClientBuilder()
			if tc.secret != nil {
				live.WithObjects(tc.secret.DeepCopy())
			}
			r := &reconciliation{
				Reconciler: &Reconciler{Live: live.Build(), Clock: clocktesting.NewFakePassiveClock(time.Now())},
				place:      place{Target: targets.Target{Product: targets.FC}}, account: tc.account,
			}
			got, err := r.contentOf(certificate)(t.Context())
			if tc.want == "" {
				if err != nil || got.Certificate != content.Material.Certificate || got.PrivateKey != content.Material.PrivateKey {
					t.Errorf("%v", err)
				}
				return
			}
			if err == nil || targets.ClassOf(err) != tc.class || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), `"web"`) || got != (targets.Content{}) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, product := range append(targets.Names(), targets.Service, targets.ConfigMap, targets.ALBConfig) {
		r := &reconciliation{place: place{Target: targets.Target{Product: product}}}
		if (r.contentOf(certificate) != nil) != (product == targets.FC) {
			t.Errorf("%s is given the key, or fc is not", product)
		}
	}
}
