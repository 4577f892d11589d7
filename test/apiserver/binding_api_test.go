// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// manifest is an object of any kind as a user writes it: the spec in YAML.
func manifest(t *testing.T, kind, namespace, name, spec string) *unstructured.Unstructured {
	t.Helper()
	u := object(t, namespace, name, spec)
	u.SetKind(kind)
	return u
}

// checkRefused creates an object that the API server has to refuse.
func checkRefused(t *testing.T, u *unstructured.Unstructured, want string) {
	t.Helper()
	err := kube.Create(t.Context(), u)
	if err == nil {
		t.Fatalf("the API server accepted %v", u.Object["spec"])
	}
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Fatalf("got %v, want Invalid or BadRequest", err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("message %q does not say %q", err, want)
	}
}

// boundTo is the spec of a binding to a target, with more fields.
func boundTo(target, more string) string {
	return fmt.Sprintf("{certificateRef: {name: web}, target: {%s}%s}", target, more)
}

const anyALB = `alb: {regionId: cn-shanghai, listenerId: lsn-o4u54y73wq7b, slot: Additional}`

func TestAPIServerRefusesBindings(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	eleven := make([]string, 11)
	for i := range eleven {
		eleven[i] = fmt.Sprintf("%d-cn-hangzhou", i+1)
	}
	for name, tc := range map[string]struct{ spec, want string }{
		"no certificate":                     {`{target: {configMap: {name: web}}}`, "spec.certificateRef: Required value"},
		"a certificate of another namespace": {`{certificateRef: {name: web, namespace: other}, target: {configMap: {name: web}}}`, `unknown field "spec.certificateRef.namespace"`},
		"a certificate that none can be":     {`{certificateRef: {name: Web}, target: {configMap: {name: web}}}`, "must be the name of a CloudCertificate"},
		"no target":                          {`{certificateRef: {name: web}}`, "spec.target: Required value"},
		"a target without a member":          {boundTo("", ""), "exactly one of the fields in"},
		"two targets":                        {boundTo("configMap: {name: a}, cdn: {domain: www.example.com}", ""), "exactly one of the fields in"},
		"an unknown product":                 {boundTo("slb: {domain: www.example.com}", ""), `unknown field "spec.target.slb"`},
		"alb without a slot":                 {boundTo("alb: {regionId: cn-shanghai, listenerId: lsn-a}", ""), "spec.target.alb.slot: Required value"},
		"nlb without a slot":                 {boundTo(`nlb: {regionId: cn-shanghai, listenerId: "lsn-a@443"}`, ""), "spec.target.nlb.slot: Required value"},
		"albConfig without a slot":           {boundTo("albConfig: {name: alb, port: 443}", ""), "spec.target.albConfig.slot: Required value"},
		"a slot that does not exist":         {boundTo("alb: {regionId: cn-shanghai, listenerId: lsn-a, slot: SNI}", ""), `supported values: "Default", "Additional"`},
		"the listener of an ALB for GA":      {boundTo("ga: {acceleratorId: ga-a, listenerId: lsn-a}", ""), "must be the id of a listener: lsr-"},
		"the listener of an NLB for an ALB":  {boundTo(`alb: {regionId: cn-shanghai, listenerId: "lsn-a@443", slot: Default}`, ""), "must be the id of a listener"},
		"the listener of an ALB for an NLB":  {boundTo("nlb: {regionId: cn-shanghai, listenerId: lsn-a, slot: Default}", ""), "then @ and its port"},
		"a load balancer for a listener":     {boundTo("alb: {regionId: cn-shanghai, listenerId: alb-abc, slot: Default}", ""), "must be the id of a listener"},
		"a region that is none":              {boundTo("alb: {regionId: Shanghai, listenerId: lsn-a, slot: Default}", ""), "must be a region of Alibaba Cloud"},
		"a port that is none":                {boundTo("clb: {regionId: cn-shanghai, loadBalancerId: lb-a, port: 65536}", ""), "should be less than or equal to 65535"},
		"a URL for a domain":                 {boundTo(`cdn: {domain: "https://www.example.com"}`, ""), "must be a domain in lower-case letters"},
		"a domain in capitals":               {boundTo("cdn: {domain: WWW.example.com}", ""), "must be a domain in lower-case letters"},
		"a star within a domain":             {boundTo(`cdn: {domain: "www.*.com"}`, ""), "must be a domain in lower-case letters"},
		"one key for two values":             {boundTo("configMap: {name: a, keys: {certId: id, certIdentifier: id}}", ""), "must be two different keys"},
		"a key that takes the other's place": {boundTo("configMap: {name: a, keys: {certId: certIdentifier}}", ""), "must be two different keys"},
		"a key that no ConfigMap can have":   {boundTo(`configMap: {name: a, keys: {certId: "a b"}}`, ""), "must be a key of a ConfigMap"},
		"a ConfigMap of another namespace":   {boundTo("configMap: {name: a, namespace: b}", ""), `unknown field "spec.target.configMap.namespace"`},
		"to adopt a bare number":             {boundTo(anyALB, `, adopt: ["24410517"]`), "must be the full identifier"},
		"to adopt by a pattern":              {boundTo(anyALB, `, adopt: ["2441*"]`), "must be the full identifier"},
		"to adopt eleven":                    {boundTo(anyALB, `, adopt: [`+strings.Join(eleven, ", ")+`]`), "must have at most 10 items"},
		"to adopt one twice":                 {boundTo(anyALB, `, adopt: [1-cn-hangzhou, 1-cn-hangzhou]`), "Duplicate value"},
		"an unknown policy for drift":        {boundTo(anyALB, `, onDrift: Ignore`), `supported values: "Report", "Restore"`},
		"to unbind a default":                {boundTo("alb: {regionId: cn-shanghai, listenerId: lsn-a, slot: Default}", ", onDelete: Unbind"), "never taken away"},
		"to unbind an AlbConfig's default":   {boundTo("albConfig: {name: alb, port: 443, slot: Default}", ", onDelete: Unbind"), "never taken away"},
		"to unbind a domain":                 {boundTo("cdn: {domain: www.example.com}", ", onDelete: Unbind"), "never taken away"},
		"credentials without a name":         {boundTo(anyALB, `, credentialsSecretRef: {}`), "spec.credentialsSecretRef.name: Required value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkRefused(t, manifest(t, "CloudCertificateBinding", namespace, "refused", tc.spec), tc.want)
		})
	}
}

func TestAPIServerAcceptsEveryTarget(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for name, spec := range map[string]string{
		"configmap":      boundTo("configMap: {name: web-cert}", ", onDelete: Unbind"),
		"configmap-keys": boundTo("configMap: {name: web.cert, keys: {certId: CERT_ID, certIdentifier: cert.identifier}}", ""),
		"one-key":        boundTo("configMap: {name: web-cert, keys: {certId: id}}", ""),
		"service":        boundTo("service: {name: gateway}", ", onDelete: Unbind"),
		"albconfig":      boundTo("albConfig: {name: alb-shop, port: 443, slot: Additional}", ", onDelete: Unbind"),
		"alb": boundTo(anyALB, `, adopt: [24410517-cn-hangzhou, 1-ap-southeast-1, "*"], onDrift: Restore, onDelete: Unbind, `+
			`credentialsSecretRef: {name: x}, suspend: true`),
		"nlb":      boundTo(`nlb: {regionId: ap-southeast-1, listenerId: "lsn-bp1bpn908w4n@443", slot: Default}`, ""),
		"clb":      boundTo("clb: {regionId: cn-shenzhen-finance-1, loadBalancerId: lb-bp1, port: 443, domain: www.example.com}", `, adopt: ["1231579_157f8f6eb1b_0"]`),
		"clb-all":  boundTo("clb: {regionId: cn-shanghai, loadBalancerId: lb-bp1, port: 443}", ""),
		"cdn":      boundTo("cdn: {domain: .example.com}", ""),
		"dcdn":     boundTo(`dcdn: {domain: "*.xn--fiqs8s.example.com"}`, ""),
		"vod":      boundTo("vod: {regionId: cn-shanghai, domain: a_b.example.com}", ""),
		"waf":      boundTo("waf: {instanceId: waf_v3prepaid_public_cn-4xl3n2xj201, domain: www.example.com}", ""),
		"esa":      boundTo("esa: {siteId: 123456789012345, certificateId: baba39055622c008b90285a8838ed09a}", ""),
		"ga":       boundTo("ga: {acceleratorId: ga-bp17frjjh0udz4qzv8cgj, listenerId: lsr-bp1bpn908w4nbmw6cms5c, domain: www.example.com}", ""),
		"ddos":     boundTo("ddos: {domain: www.example.com}", ""),
		"mse":      boundTo("mse: {regionId: cn-shanghai, gatewayId: gw-c9bc5afd61014165bd58f621b491, domain: www.example.com}", ""),
		"oss":      boundTo("oss: {regionId: cn-shanghai, bucket: my-bucket, domain: www.example.com}", ""),
		"fc":       boundTo("fc: {regionId: cn-shanghai, domain: www.example.com}", ""),
		"defaults": boundTo(anyALB, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := kube.Create(t.Context(), manifest(t, "CloudCertificateBinding", namespace, name, spec)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTargetCannotBeChanged(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	u := manifest(t, "CloudCertificateBinding", namespace, "web", boundTo(anyALB, ""))
	if err := kube.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"another slot":    `alb: {regionId: cn-shanghai, listenerId: lsn-o4u54y73wq7b, slot: Default}`,
		"another product": `cdn: {domain: www.example.com}`,
	} {
		changed := u.DeepCopy()
		changed.Object["spec"] = manifest(t, "", "", "", boundTo(target, "")).Object["spec"]
		if err := kube.Update(t.Context(), changed); err == nil || !strings.Contains(err.Error(), "a target cannot be changed") {
			t.Errorf("%s: got %v, want a refusal that says so", name, err)
		}
	}
	u.Object["spec"] = manifest(t, "", "", "", boundTo(anyALB, ", suspend: true, onDelete: Unbind")).Object["spec"]
	if err := kube.Update(t.Context(), u); err != nil {
		t.Errorf("nothing but the target is immutable: %v", err)
	}
}

func TestDefaultsOfANewBinding(t *testing.T) {
	t.Parallel()
	u := manifest(t, "CloudCertificateBinding", newNamespace(t), "web", boundTo("configMap: {name: a}", ""))
	if err := kube.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"spec": map[string]any{
			"certificateRef": map[string]any{"name": "web"}, "target": map[string]any{"configMap": map[string]any{"name": "a"}},
			"onDrift": "Report", "onDelete": "Leave",
		},
		"status": map[string]any{"observedGeneration": int64(-1)},
	}
	if diff := cmp.Diff(want, map[string]any{"spec": u.Object["spec"], "status": u.Object["status"]}); diff != "" {
		t.Error(diff)
	}
}

// TestBindingStatusTakesEveryField writes a full status and reads it back: nothing may be
// pruned, and numbers keep their width.
func TestBindingStatusTakesEveryField(t *testing.T) {
	t.Parallel()
	binding := &v1alpha1.CloudCertificateBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: newNamespace(t), Name: "web"},
		Spec: v1alpha1.CloudCertificateBindingSpec{
			CertificateRef: v1alpha1.CertificateReference{Name: "web"},
			Target:         v1alpha1.BindingTarget{ConfigMap: &v1alpha1.ConfigMapTarget{Name: "a"}},
		},
	}
	if err := kube.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	now := metav1.Now().Rfc3339Copy()
	binding.Status = v1alpha1.CloudCertificateBindingStatus{
		ObservedGeneration: 1, Target: "configmap/a", FirstReadTime: now, BoundCertID: 1 << 53, BoundCertIdentifier: "12346-cn-hangzhou",
		BoundTime: now, PendingCertID: 12347, PendingSince: now, LeftoverCertIDs: []int64{12345, 1 << 53},
		ReplacedCertIdentifier: "24410517-cn-hangzhou", ProviderCertificateID: "p", AccountID: "1234567890", LastHandledResync: "x",
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSynced, LastTransitionTime: now, ObservedGeneration: 1,
		}},
	}
	want := binding.Status.DeepCopy()
	if err := kube.Status().Update(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	got := &v1alpha1.CloudCertificateBinding{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(binding), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*want, got.Status); diff != "" {
		t.Error(diff)
	}
}

// policyFor is the spec of a policy with one entry.
func policyFor(target string) string {
	return fmt.Sprintf(`{namespaces: {names: [shop]}, dnsNames: ["*.shop.example.com"], targets: [{%s}]}`, target)
}

func TestAPIServerRefusesPolicies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ spec, want string }{
		"no DNS names":            {`{namespaces: {names: [shop]}, targets: [{cdn: {}}]}`, "spec.dnsNames: Required value"},
		"an empty list of names":  {`{dnsNames: [], targets: [{cdn: {}}]}`, "spec.dnsNames"},
		"no targets":              {`{dnsNames: ["*"]}`, "spec.targets: Required value"},
		"an entry without a kind": {`{dnsNames: ["*"], targets: [{}]}`, "exactly one of the fields in"},
		"an entry with two kinds": {policyFor("cdn: {}, alb: {}"), "exactly one of the fields in"},
		"a star at the end":       {policyFor(`cdn: {domains: ["www.*"]}`), "nowhere else"},
		"a star within":           {policyFor(`alb: {listenerIds: ["lsn-*"]}`), "nowhere else"},
		"two stars":               {`{dnsNames: ["*.*.example.com"], targets: [{cdn: {}}]}`, "nowhere else"},
		"a bare star and a dot":   {`{dnsNames: ["*."], targets: [{cdn: {}}]}`, "nowhere else"},
		"an unknown slot":         {policyFor("alb: {slots: [SNI]}"), `supported values: "Default", "Additional"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkRefused(t, manifest(t, "CertificateTargetPolicy", "", "refused", tc.spec), tc.want)
		})
	}
}

func TestAPIServerAcceptsEveryPolicy(t *testing.T) {
	t.Parallel()
	var spec map[string]any
	if err := yaml.Unmarshal([]byte(`
namespaces: {names: [shop], selector: {matchLabels: {team: shop}, matchExpressions: [{key: env, operator: In, values: [prod]}]}}
dnsNames: ["*.shop.example.com", shop.example.com, "*"]
targets:
- alb: {regionIds: [cn-shanghai], loadBalancerIds: [alb-x], listenerIds: [lsn-a], slots: [Additional, Default]}
- nlb: {regionIds: ["*"], listenerIds: ["lsn-a@443"]}
- clb: {loadBalancerIds: [lb-a], ports: [443], domains: ["*.shop.example.com"]}
- cdn: {domains: ["*.shop.example.com"]}
- dcdn: {}
- vod: {regionIds: [cn-shanghai], domains: [shop.example.com]}
- waf: {instanceIds: [waf_v3], domains: ["*"]}
- esa: {siteIds: [1], certificateIds: [a]}
- ga: {acceleratorIds: [ga-a], listenerIds: [lsr-a], domains: ["*"]}
- ddos: {domains: [shop.example.com]}
- mse: {gatewayIds: [gw-a]}
- oss: {buckets: [b]}
- fc: {domains: [shop.example.com]}
- service: {names: [gateway]}
- albConfig: {names: [alb-shop], ports: [443], slots: [Additional]}
allowAdoptAny: true
`), &spec); err != nil {
		t.Fatal(err)
	}
	u := manifest(t, "CertificateTargetPolicy", "", "every-field", "{}")
	u.Object["spec"] = spec
	if err := kube.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kube.Delete(ctx, u); err != nil {
			t.Error(err)
		}
	})
	if diff := cmp.Diff(fmt.Sprint(spec), fmt.Sprint(u.Object["spec"])); diff != "" { // one has float64 where the other has int64
		t.Errorf("the API server changed the policy:\n%s", diff)
	}
}
