// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

func unbinds(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDelete = v1alpha1.BindingUnbind }

// putKeys makes a Secret with the access key of an account.
func (m *market) putKeys(name string, of emulator.Account) {
	m.t.Helper()
	m.putData(name, corev1.SecretTypeOpaque, map[string][]byte{
		"accessKeyId": []byte(of.AccessKeyID), "accessKeySecret": []byte(of.AccessKeySecret),
	})
}

// waitUnbound waits until a binding is gone.
func (m *market) waitUnbound(name string) {
	m.t.Helper()
	m.eventually(func() string {
		for _, b := range m.bindings() {
			if b.Name == name {
				return "the binding is still there: " + bindingReady(&b).Message
			}
		}
		return ""
	})
}

// checkSays checks that the message of a binding says what is wrong and what to do.
func (m *market) checkSays(b *v1alpha1.CloudCertificateBinding, want ...string) {
	m.t.Helper()
	message := bindingReady(b).Message
	for _, text := range want {
		if !strings.Contains(message, text) {
			m.t.Errorf("message %q does not say %q", message, text)
		}
	}
}

// TestUnbindWithoutTheCredentials of the CloudCertificate, which are deleted first: the binding
// says so and how to let it go, and nothing is taken out with other credentials.
func TestUnbindWithoutTheCredentials(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{}, "--binding-policy=SingleTenant", "--orphan-after=0")
	standard := m.balance(nil)
	m.putKeys("keys", testAccount())
	m.start()
	m.putSecret("web", m.issue(host))
	m.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.CredentialsSecretRef.Name = "keys" })
	m.bind("alb", toALB(v1alpha1.SlotAdditional), unbinds)
	bound := m.waitBound("alb", 0)
	m.deleteSecret("keys")
	m.putSecret("web", m.issue(host)) // an object at rest needs no credentials, and asks for none
	m.waitReason("web", v1alpha1.ReasonCredentialsUnavailable)
	calls := len(m.calls("alb"))

	m.check(m.kube.Delete(ctx, m.binding("alb")))
	held := m.waitBinding("alb", v1alpha1.ReasonCredentialsUnavailable, nil)
	m.checkSays(held, "alb/cn-shanghai/lsn-a Additional", `Secret "keys"`, v1alpha1.AnnotationOrphan+`: "true"`)
	if after := len(m.calls("alb")); after != calls {
		t.Errorf("without credentials the listener was called %d times", after-calls)
	}
	m.changeBinding("alb", func(b *v1alpha1.CloudCertificateBinding) {
		b.Annotations = map[string]string{v1alpha1.AnnotationOrphan: "true"}
	})
	m.waitUnbound("alb")
	m.checkListener(standard, identifier(bound))
}

// TestUnbindInAnotherAccount than the operator's own, whose credentials are all that is left when
// the CloudCertificate is gone: there the listener seems not to exist, which is no reason to let the
// binding go.
func TestUnbindInAnotherAccount(t *testing.T) {
	t.Parallel()
	tenant := emulator.Account{ID: account, AccessKeyID: "LTAItenantsAccessKey", AccessKeySecret: accessKey}
	own := emulator.Account{ID: "9876543210987654", AccessKeyID: accessKeyID, AccessKeySecret: accessKey}
	m := newMarketOf(t, emulator.Options{Accounts: []emulator.Account{tenant, own}}, products.Options{}, "--binding-policy=SingleTenant")
	standard := m.balance(nil)
	m.putKeys("keys", tenant)
	m.start()
	m.putSecret("web", m.issue(host))
	m.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.CredentialsSecretRef.Name = "keys" })
	m.bind("alb", toALB(v1alpha1.SlotAdditional), unbinds)
	bound := m.waitBound("alb", 0)
	m.remove("web")
	m.waitGone("web")

	m.check(m.kube.Delete(ctx, m.binding("alb")))
	held := m.waitBinding("alb", v1alpha1.ReasonCredentialsUnavailable, nil)
	m.checkSays(held, own.ID, tenant.ID, "spec.credentialsSecretRef", v1alpha1.AnnotationOrphan)
	m.checkListener(standard, identifier(bound))
	m.changeBinding("alb", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.CredentialsSecretRef.Name = "keys" })
	m.waitUnbound("alb")
	m.checkListener(standard)
}

// TestVersionThatCameBackGoesAgain: one that a renewal took out and a rollback put back is taken out
// a second time, at the next renewal and at the end. The product remembers the client token of the
// first time.
func TestVersionThatCameBackGoesAgain(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	standard := m.balance(nil)
	m.allow(anyListener())
	m.start()
	first, second := m.issue(host), m.issue(host)
	m.putSecret("web", first)
	m.create("web", nil)
	m.bind("alb", toALB(v1alpha1.SlotAdditional), unbinds)
	before := m.waitBound("alb", 0)
	m.putSecret("web", second)
	after := m.waitBound("alb", before)
	m.putSecret("web", first)
	if back := m.waitBound("alb", after); back != before {
		t.Fatalf("the content of before has certificate %d, want %d", back, before)
	}
	m.putSecret("web", second)
	m.waitBound("alb", before)
	m.checkListener(standard, identifier(after))
	m.putSecret("web", first)
	m.waitBound("alb", after)
	m.check(m.kube.Delete(ctx, m.binding("alb")))
	m.waitUnbound("alb")
	m.checkListener(standard)
}

// TestUnbindGoesOnBesideThoseWhoCouldNotUseIt: a younger binding of the slot that cannot reach the
// target, or would take what is there for somebody else's, is nobody to leave it to.
func TestUnbindGoesOnBesideThoseWhoCouldNotUseIt(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{}, "--binding-policy=SingleTenant")
	standard := m.balance(nil)
	m.start()
	m.publish()
	m.putSecret("api", m.issue("api.example.com"))
	m.create("api", nil)
	m.bind("alb", toALB(v1alpha1.SlotAdditional), unbinds)
	m.bind("map", toConfigMap("web-cert"), unbinds)
	m.waitBound("alb", 0)
	m.waitBound("map", 0)
	time.Sleep(time.Second) // times of creation are whole seconds
	m.putKeys("unknown", emulator.Account{AccessKeyID: "LTAIunknown", AccessKeySecret: accessKey})
	m.bind("alb-rival", toALB(v1alpha1.SlotAdditional), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.CredentialsSecretRef.Name = "unknown" })
	m.bind("map-rival", toConfigMap("web-cert"), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.CertificateRef.Name = "api" })
	m.waitBinding("alb-rival", v1alpha1.ReasonOccupied, nil)
	m.waitBinding("map-rival", v1alpha1.ReasonOccupied, nil)

	for _, name := range []string{"alb", "map"} {
		m.check(m.kube.Delete(ctx, m.binding(name)))
		m.waitUnbound(name)
	}
	m.waitBinding("alb-rival", v1alpha1.ReasonCredentialsUnavailable, nil)
	m.checkListener(standard)
	m.waitBinding("map-rival", v1alpha1.ReasonSynced, nil)
	if got, want := m.configMap("web-cert").Data["certIdentifier"], m.get("api").Status.CertIdentifier; got != want {
		t.Errorf("after the other binding had taken its own out, the ConfigMap holds %q, want %q", got, want)
	}
}
