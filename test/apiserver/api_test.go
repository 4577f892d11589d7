// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// object is a manifest as a user writes it: the spec in YAML.
func object(t *testing.T, namespace, name, spec string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("cloudcert.io/v1alpha1")
	u.SetKind("CloudCertificate")
	u.SetNamespace(namespace)
	u.SetName(name)
	var m map[string]any
	if err := yaml.Unmarshal([]byte(spec), &m); err != nil {
		t.Fatal(err)
	}
	u.Object["spec"] = m
	return u
}

func manyTags(n int) string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprintf("{key: k%d}", i))
	}
	return "{secretRef: {name: web}, tags: [" + strings.Join(tags, ", ") + "]}"
}

func TestAPIServerRefusesWhatItCan(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for name, tc := range map[string]struct{ spec, want string }{
		"no secretRef":                      {`{type: TLS}`, "spec.secretRef: Required value"},
		"secretRef without a name":          {`{secretRef: {}}`, "spec.secretRef.name: Required value"},
		"a Secret in another namespace":     {`{secretRef: {name: web, namespace: other}}`, `unknown field "spec.secretRef.namespace"`},
		"a name that no Secret can have":    {`{secretRef: {name: Web_TLS}}`, "must be the name of a Secret"},
		"an unknown type":                   {`{secretRef: {name: web}, type: PGP}`, `supported values: "TLS", "SM"`},
		"a prefix with a dash":              {`{secretRef: {name: web}, namePrefix: shop-web}`, "letters, digits and underscores"},
		"a prefix in another script":        {`{secretRef: {name: web}, namePrefix: Сертификат}`, "letters, digits and underscores"},
		"a prefix of 33 characters":         {`{secretRef: {name: web}, namePrefix: ` + strings.Repeat("a", 33) + `}`, "may not be more than 32"},
		"an empty prefix":                   {`{secretRef: {name: web}, namePrefix: ""}`, "should be at least 1 chars long"},
		"21 tags":                           {manyTags(21), "must have at most 20 items"},
		"a tag key twice":                   {`{secretRef: {name: web}, tags: [{key: a}, {key: a}]}`, "Duplicate value"},
		"a tag key of the cloud's own":      {`{secretRef: {name: web}, tags: [{key: acs:rm}]}`, "must not begin with 'aliyun' or 'acs:'"},
		"a reserved tag key in capitals":    {`{secretRef: {name: web}, tags: [{key: AliYunX}]}`, "must not begin with 'aliyun' or 'acs:'"},
		"a tag key with a URL":              {`{secretRef: {name: web}, tags: [{key: "x http://y"}]}`, "must not contain 'http://'"},
		"a tag value with a URL":            {`{secretRef: {name: web}, tags: [{key: x, value: "https://y"}]}`, "must not contain 'http://'"},
		"a tag without a key":               {`{secretRef: {name: web}, tags: [{value: y}]}`, "tags[0].key: Required value"},
		"keys of SM under TLS":              {`{secretRef: {name: web}, keys: {signCertificate: sign.crt}}`, "belong to type SM"},
		"keys of SM under an explicit TLS":  {`{secretRef: {name: web}, type: TLS, keys: {encryptPrivateKey: e}}`, "belong to type SM"},
		"keys of TLS under SM":              {`{secretRef: {name: web}, type: SM, keys: {privateKey: tls.key}}`, "belong to type TLS"},
		"a key that no Secret can have":     {`{secretRef: {name: web}, keys: {certificate: "a b"}}`, "must be a key of a Secret"},
		"an unknown key":                    {`{secretRef: {name: web}, keys: {cert: a}}`, `unknown field "spec.keys.cert"`},
		"a region that CAS does not have":   {`{secretRef: {name: web}, region: eu-central-1}`, `supported values: "cn-hangzhou", "ap-southeast-1"`},
		"a resource group that is none":     {`{secretRef: {name: web}, resourceGroupId: default}`, "must be the id of a resource group"},
		"an unknown deletion policy":        {`{secretRef: {name: web}, deletionPolicy: Orphan}`, `supported values: "Retain", "Delete"`},
		"a negative revision history limit": {`{secretRef: {name: web}, revisionHistoryLimit: -1}`, "should be greater than or equal to 0"},
		"a revision history limit of 51":    {`{secretRef: {name: web}, revisionHistoryLimit: 51}`, "should be less than or equal to 50"},
		"credentials without a name":        {`{secretRef: {name: web}, credentialsSecretRef: {}}`, "spec.credentialsSecretRef.name: Required value"},
		"a field that does not exist":       {`{secretRef: {name: web}, prefix: a}`, `unknown field "spec.prefix"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := kube.Create(t.Context(), object(t, namespace, "refused", tc.spec))
			if err == nil {
				t.Fatalf("the API server accepted %s", tc.spec)
			}
			if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
				t.Fatalf("got %v, want Invalid or BadRequest", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("message %q does not say %q", err, tc.want)
			}
		})
	}
}

func TestAPIServerAcceptsEveryField(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for name, spec := range map[string]string{
		"minimal":       `{secretRef: {name: web}}`,
		"empty keys":    `{secretRef: {name: web}, keys: {}, tags: []}`,
		"all-of-tls":    `{secretRef: {name: web.tls-1}, type: TLS, keys: {certificate: c.pem, privateKey: k_1}, namePrefix: shop_web, resourceGroupId: rg-acfm, tags: [{key: env, value: prod}, {key: team}], region: ap-southeast-1, credentialsSecretRef: {name: x}, deletionPolicy: Delete, revisionHistoryLimit: 0, suspend: true}`,
		"all-of-sm":     `{secretRef: {name: sm}, type: SM, keys: {signCertificate: a, signPrivateKey: b, encryptCertificate: c, encryptPrivateKey: d}, region: cn-hangzhou, revisionHistoryLimit: 50}`,
		"twenty-tags":   manyTags(20),
		"longest-names": `{secretRef: {name: ` + strings.Repeat("a", 253) + `}, namePrefix: ` + strings.Repeat("Z", 32) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := kube.Create(t.Context(), object(t, namespace, strings.ReplaceAll(name, " ", "-"), spec)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDefaultsOfANewObject(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	u := object(t, namespace, "web", `{secretRef: {name: web}}`)
	if err := kube.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"spec":   map[string]any{"secretRef": map[string]any{"name": "web"}, "type": "TLS", "deletionPolicy": "Retain"},
		"status": map[string]any{"observedGeneration": int64(-1)},
	}
	got := map[string]any{"spec": u.Object["spec"], "status": u.Object["status"]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestStatusTakesEveryField writes a full status and reads it back: nothing may
// be pruned, and numbers keep their width.
func TestStatusTakesEveryField(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	cc := &v1alpha1.CloudCertificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: "web"}},
	}
	if err := kube.Create(t.Context(), cc); err != nil {
		t.Fatal(err)
	}
	now := metav1.Now().Rfc3339Copy()
	cc.Status = v1alpha1.CloudCertificateStatus{
		ObservedGeneration: 1, CertID: 1 << 53, ResourceID: "cas-upload-xki1d0", CertIdentifier: "12345-cn-hangzhou",
		Name: "n", AccountID: "1234567890", Region: "cn-hangzhou", ContentHash: "sha256:00", SecretUID: "u",
		SecretResourceVersion: "8123", LastUploadTime: now, LastHandledResync: "x",
		Certificate: v1alpha1.CertificateFacts{
			CommonName: "a", DNSNames: []string{"a"}, DNSNamesTotal: 1, SerialNumber: "1f", Issuer: "CN=x",
			NotBefore: now, NotAfter: now, FingerprintSHA256: "00",
		},
		History: []v1alpha1.CertificateVersion{{
			CertID: 1, ResourceID: "r", CertIdentifier: "i", Name: "n", FingerprintSHA256: "00", NotAfter: now, UploadTime: now,
		}},
		HistoryTotal: 1,
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSynced, LastTransitionTime: now, ObservedGeneration: 1,
		}},
	}
	want := cc.Status.DeepCopy()
	if err := kube.Status().Update(t.Context(), cc); err != nil {
		t.Fatal(err)
	}
	got := &v1alpha1.CloudCertificate{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(cc), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*want, got.Status); diff != "" {
		t.Error(diff)
	}
}

// TestPrinterColumns reads the tables that kubectl get prints.
func TestPrinterColumns(t *testing.T) {
	t.Parallel()
	type column struct {
		Name     string
		Priority int32
	}
	for resource, want := range map[string][]column{
		"cloudcertificates": {
			{"Name", 0}, {"Ready", 0}, {"Cert ID", 0}, {"Resource ID", 0}, {"Not After", 0}, {"Age", 0}, {"Reason", 1}, {"Cloud Name", 1},
		},
		"cloudcertificatebindings": {
			{"Name", 0}, {"Ready", 0}, {"Certificate", 0}, {"Target", 0}, {"Bound Cert ID", 0}, {"Age", 0}, {"Reason", 1}, {"Pending", 1},
		},
		"certificatetargetpolicies": {{"Name", 0}, {"Namespaces", 0}, {"DNS Names", 0}, {"Age", 0}},
	} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			var got []column
			for _, c := range table(t, resource).ColumnDefinitions {
				got = append(got, column{c.Name, c.Priority})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// table is what kubectl get prints of a resource in all namespaces.
func table(t *testing.T, resource string) *metav1.Table {
	t.Helper()
	config := rest.CopyConfig(plane.Config)
	config.GroupVersion = &v1alpha1.GroupVersion
	config.APIPath = "/apis"
	config.NegotiatedSerializer = codecs
	rc, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rc.Get().Resource(resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(raw, table); err != nil {
		t.Fatal(err)
	}
	return table
}
