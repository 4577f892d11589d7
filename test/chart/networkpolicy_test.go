// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNetworkPolicyLetsInTheReadersOfMetrics alone, and keeps nothing in unless it is
// told to: the operator calls the cloud, the API server and DNS.
func TestNetworkPolicyLetsInTheReadersOfMetrics(t *testing.T) {
	t.Parallel()
	everywhere := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	monitoring := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "monitoring"}}}
	for name, tc := range map[string]struct {
		values string
		ports  []int
		from   []networkingv1.NetworkPolicyPeer
		out    bool
	}{
		"by default":               {"{}", []int{8443}, []networkingv1.NetworkPolicyPeer{everywhere}, false},
		"from a namespace":         {"networkPolicy: {metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]}", []int{8443}, []networkingv1.NetworkPolicyPeer{monitoring}, false},
		"from anywhere":            {"networkPolicy: {metricsFrom: []}", []int{8443}, nil, false},
		"with metrics on loopback": {"watchNamespaces: [shop]", nil, nil, false},
		"without metrics":          {"metrics: {enabled: false}", nil, nil, false},
		"kept in":                  {"{metrics: {enabled: false}, networkPolicy: {egress: true}}", nil, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := &networkingv1.NetworkPolicy{}
			convert(t, one(t, objects(t, parse(t, tc.values)), "NetworkPolicy"), policy)
			types := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			if tc.out {
				types = append(types, networkingv1.PolicyTypeEgress)
			}
			if diff := cmp.Diff(types, policy.Spec.PolicyTypes); diff != "" {
				t.Errorf("directions (-want +got):\n%s", diff)
			}
			if (len(policy.Spec.Egress) > 0) != tc.out {
				t.Errorf("rules for traffic out: %v", policy.Spec.Egress)
			}
			var ports []int
			var from []networkingv1.NetworkPolicyPeer
			for _, rule := range policy.Spec.Ingress {
				from = append(from, rule.From...)
				for _, port := range rule.Ports {
					ports = append(ports, port.Port.IntValue())
				}
			}
			if diff := cmp.Diff(tc.ports, ports); diff != "" {
				t.Errorf("ports (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.from, from); diff != "" {
				t.Errorf("peers (-want +got):\n%s", diff)
			}
		})
	}
	if left := ofKind(objects(t, parse(t, "networkPolicy: {enabled: false}")), "NetworkPolicy"); len(left) > 0 {
		t.Error("it is made with networkPolicy.enabled=false")
	}
}
