// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// balanceByIngress makes an AlbConfig of the test's own, with a listener for HTTP and one for HTTPS
// that names certificates, the first of them as the default.
func (m *market) balanceByIngress(certificates ...string) *unstructured.Unstructured {
	m.t.Helper()
	named := []any{}
	for at, id := range certificates {
		named = append(named, map[string]any{"CertificateId": id, "IsDefault": at == 0})
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "alibabacloud.com/v1", "kind": "AlbConfig", "metadata": map[string]any{"name": m.namespace},
		"spec": map[string]any{
			"config": map[string]any{"name": "shop"},
			"listeners": []any{
				map[string]any{"port": int64(80), "protocol": "HTTP"},
				map[string]any{"port": int64(443), "protocol": "HTTPS", "certificates": named, "securityPolicyId": "tls-1"},
			},
		},
	}}
	m.check(m.kube.Create(ctx, object))
	m.t.Cleanup(func() { m.check(m.kube.Delete(ctx, object)) })
	return object
}

// listed are the certificates of the listener for HTTPS, the default with a star.
func (m *market) listed() string {
	m.t.Helper()
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("alibabacloud.com/v1")
	object.SetKind("AlbConfig")
	m.check(m.kube.Get(ctx, client.ObjectKey{Name: m.namespace}, object))
	listeners, _, err := unstructured.NestedSlice(object.Object, "spec", "listeners")
	m.check(err)
	https := listeners[1].(map[string]any)
	if https["securityPolicyId"] != "tls-1" {
		m.t.Errorf("the listener lost another field: %v", https)
	}
	var words []string
	for _, one := range https["certificates"].([]any) {
		entry := one.(map[string]any)
		word := fmt.Sprint(entry["CertificateId"])
		if entry["IsDefault"] == true {
			word += "*"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (m *market) checkListed(want ...string) {
	m.t.Helper()
	if diff := cmp.Diff(strings.Join(want, " "), m.listed()); diff != "" {
		m.t.Errorf("the AlbConfig names other certificates (-want +got):\n%s", diff)
	}
}

func (m *market) toAlbConfig(slot v1alpha1.TargetSlot) v1alpha1.BindingTarget {
	return v1alpha1.BindingTarget{ALBConfig: &v1alpha1.ALBConfigTarget{Name: m.namespace, Port: 443, Slot: slot}}
}

func (m *market) anyAlbConfig() v1alpha1.PolicyTarget {
	return v1alpha1.PolicyTarget{ALBConfig: &v1alpha1.ALBConfigPolicy{Names: []v1alpha1.Pattern{v1alpha1.Pattern(m.namespace)}, Ports: []int32{443}}}
}

// TestAlbConfigFollowsRenewal adds ours beside those of others, and takes the one before out after
// the new one is there.
func TestAlbConfigFollowsRenewal(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	standard, other := m.foreign("standard", "default.example.com"), m.foreign("other", "other.example.com")
	m.balanceByIngress(standard, other)
	m.allow(m.anyAlbConfig())
	m.start()
	m.publish()
	m.bind("web", m.toAlbConfig(v1alpha1.SlotAdditional), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDelete = v1alpha1.BindingUnbind })
	first := m.waitBound("web", 0)
	m.checkListed(standard+"*", other, identifier(first))
	_, second := m.renew("web")
	m.checkListed(standard+"*", other, identifier(second))
	if target := m.binding("web").Status.Target; target != "albconfig/"+m.namespace+"/443 Additional" {
		t.Errorf("status.target is %q", target)
	}
	m.check(m.kube.Delete(ctx, m.binding("web")))
	m.eventually(func() string {
		if list := m.bindings(); len(list) > 0 {
			return "the binding that unbinds is still there: " + bindingReady(&list[0]).Message
		}
		return ""
	})
	m.checkListed(standard+"*", other)
	for _, call := range m.cloud.Journal() {
		if call.Product != "" {
			t.Errorf("an AlbConfig called %s of %s", call.Action, call.Product)
		}
	}
}

// TestAlbConfigDefaultIsReplaced where the spec names what is there: a certificate, or that the
// controller looks for some.
func TestAlbConfigDefaultIsReplaced(t *testing.T) {
	t.Parallel()
	for name, listed := range map[string][]string{"a certificate": {"24410517-cn-hangzhou", "24410518-cn-hangzhou"}, "discovery": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMarket(t, products.Options{})
			m.balanceByIngress(listed...)
			m.allow(m.anyAlbConfig())
			m.start()
			m.publish()
			m.bind("web", m.toAlbConfig(v1alpha1.SlotDefault), nil)
			there, rest := "discovery", []string(nil)
			if len(listed) > 0 {
				there, rest = listed[0], listed[1:]
			}
			occupied := m.waitBinding("web", v1alpha1.ReasonOccupied, nil)
			if message := bindingReady(occupied).Message; !strings.Contains(message, there) || !strings.Contains(message, "spec.adopt") {
				t.Errorf("message %q does not name %s and what to do", message, there)
			}
			m.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{there} })
			first := m.waitBound("web", 0)
			m.checkListed(append([]string{identifier(first) + "*"}, rest...)...)
			_, second := m.renew("web")
			m.checkListed(append([]string{identifier(second) + "*"}, rest...)...)
			if replaced := m.binding("web").Status.ReplacedCertIdentifier; replaced != there {
				t.Errorf("replacedCertIdentifier is %q, want %q: the way back", replaced, there)
			}
		})
	}
}

// TestAlbConfigNeedsAPolicyAlways, also with credentials of the tenant's own and for a single
// tenant: it belongs to no namespace.
func TestAlbConfigNeedsAPolicyAlways(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{}, "--binding-policy=SingleTenant")
	standard := m.foreign("standard", "default.example.com")
	m.balanceByIngress(standard)
	m.start()
	m.publish()
	m.waitReason("web", v1alpha1.ReasonSynced)
	m.bind("web", m.toAlbConfig(v1alpha1.SlotAdditional), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.CredentialsSecretRef.Name = "own" })
	refused := m.waitBinding("web", v1alpha1.ReasonNotAllowed, nil)
	if message := bindingReady(refused).Message; !strings.Contains(message, "CertificateTargetPolicy") || strings.Contains(message, "credentialsSecretRef") {
		t.Errorf("message %q does not say what is missing, or says what does not help", message)
	}
	m.checkListed(standard + "*")
	elsewhere := m.anyAlbConfig()
	elsewhere.ALBConfig.Ports = []int32{8443}
	policy := m.allow(elsewhere)
	m.bind("last", toConfigMap("last"), nil) // is handled after the policy was
	m.waitBinding("last", v1alpha1.ReasonSynced, nil)
	m.checkListed(standard + "*")
	policy.Spec.Targets = []v1alpha1.PolicyTarget{m.anyAlbConfig()}
	m.check(m.kube.Update(ctx, policy))
	m.checkListed(standard+"*", identifier(m.waitBound("web", 0)))
}

// TestAlbConfigThatIsNotClear changes nothing where what a write would do is not certain.
func TestAlbConfigThatIsNotClear(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	config := m.balanceByIngress()
	m.allow(m.anyAlbConfig())
	m.start()
	m.publish()
	waitMessage := func(name, reason, part string) {
		t.Helper()
		m.waitBinding(name, reason, func(b *v1alpha1.CloudCertificateBinding) bool { return strings.Contains(bindingReady(b).Message, part) })
	}
	m.bind("additional", m.toAlbConfig(v1alpha1.SlotAdditional), nil)
	waitMessage("additional", v1alpha1.ReasonBindFailed, "bind the slot Default first")
	m.checkListed()
	certificates := []any{map[string]any{"CertificateId": "1-cn-hangzhou"}, map[string]any{"CertificateId": "2-cn-hangzhou", "IsDefault": true}}
	listeners := func(https ...any) {
		config.Object["spec"].(map[string]any)["listeners"] = append([]any{map[string]any{"port": int64(80), "protocol": "HTTP"}}, https...)
		m.check(m.kube.Update(ctx, config))
	}
	https := map[string]any{"port": int64(443), "protocol": "HTTPS", "certificates": certificates, "securityPolicyId": "tls-1"}
	listeners(https)
	m.bind("default", m.toAlbConfig(v1alpha1.SlotDefault), nil)
	waitMessage("default", v1alpha1.ReasonBindFailed, "put it first")
	listeners(https, map[string]any{"port": "443", "protocol": "QUIC"})
	m.changeBinding("default", func(b *v1alpha1.CloudCertificateBinding) {
		b.Annotations = map[string]string{v1alpha1.AnnotationResync: "two"}
	})
	waitMessage("default", v1alpha1.ReasonBindFailed, "cannot tell them apart")
	m.checkListed("1-cn-hangzhou", "2-cn-hangzhou*")
	listeners()
	m.changeBinding("default", func(b *v1alpha1.CloudCertificateBinding) {
		b.Annotations = map[string]string{v1alpha1.AnnotationResync: "none"}
	})
	waitMessage("default", v1alpha1.ReasonTargetNotFound, "port 443")
}

// TestFailedTestOfAPatchIsToldApart: the adapter reads again where the API server says that the
// object is invalid and names no field of it.
func TestFailedTestOfAPatchIsToldApart(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	config := m.balanceByIngress("1-cn-hangzhou")
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
		{"op": "replace", "path": "/spec/listeners/1/certificates/0/CertificateId", "value": "2-cn-hangzhou"},
	})
	m.check(err)
	err = m.kube.Patch(ctx, config, client.RawPatch(types.JSONPatchType, patch))
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) || status.Status().Details == nil || status.Status().Details.Kind != "" || len(status.Status().Details.Causes) > 0 {
		t.Errorf("the API server says %v", err)
	}
	m.checkListed("1-cn-hangzhou*")
}
