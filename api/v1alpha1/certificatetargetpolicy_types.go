// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pattern is one value, "*" for every value, or "*." and a domain for every name that is
// exactly one label longer, as in a certificate.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self == '*' || !self.contains('*') || (self.startsWith('*.') && self.size() > 2 && !self.substring(1).contains('*'))",message="'*' stands alone for every value, or begins a domain as in *.example.com; nowhere else"
type Pattern string

// CertificateTargetPolicySpec says who may bind which certificates where.
type CertificateTargetPolicySpec struct {
	// namespaces are those whose bindings this policy admits; unset admits none.
	// +optional
	Namespaces PolicyNamespaces `json:"namespaces,omitzero"`

	// dnsNames bounds the certificates: every DNS name of one must fit an entry. On a
	// listener that several teams share, a certificate takes over the hosts that it names.
	// "*.shop.example.com" admits names with one label in place of the star, as in a
	// certificate, and "*" admits every name.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	DNSNames []Pattern `json:"dnsNames,omitempty"`

	// targets are the places that this policy admits: any entry does.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	Targets []PolicyTarget `json:"targets,omitempty"`

	// allowAdoptAny lets bindings replace whatever is in the way at their first placement, by
	// adopt: ["*"].
	// +optional
	AllowAdoptAny bool `json:"allowAdoptAny,omitempty"`
}

// PolicyNamespaces names namespaces, or selects them by their labels. One that is named or
// selected is admitted.
type PolicyNamespaces struct {
	// names of namespaces.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Names []string `json:"names,omitempty"`

	// selector selects namespaces by their labels. An empty one selects all.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// PolicyTarget is one kind of target and which of its places are admitted: every field that is
// set has to fit, and a field that is unset admits every value.
//
// +kubebuilder:validation:ExactlyOneOf=service;albConfig;alb;nlb;clb;cdn;dcdn;vod;waf;esa;ga;ddos;mse;oss;fc
type PolicyTarget struct {
	// service admits Services of the binding's namespace.
	// +optional
	Service *ServicePolicy `json:"service,omitempty"`
	// albConfig admits listeners of AlbConfigs.
	// +optional
	ALBConfig *ALBConfigPolicy `json:"albConfig,omitempty"`
	// alb admits listeners of Application Load Balancers.
	// +optional
	ALB *ListenerPolicy `json:"alb,omitempty"`
	// nlb admits listeners of Network Load Balancers.
	// +optional
	NLB *ListenerPolicy `json:"nlb,omitempty"`
	// clb admits listeners of Classic Load Balancers and their domains.
	// +optional
	CLB *CLBPolicy `json:"clb,omitempty"`
	// cdn admits domains of CDN.
	// +optional
	CDN *DomainPolicy `json:"cdn,omitempty"`
	// dcdn admits domains of DCDN.
	// +optional
	DCDN *DomainPolicy `json:"dcdn,omitempty"`
	// vod admits domains of Video on Demand.
	// +optional
	VOD *RegionalDomainPolicy `json:"vod,omitempty"`
	// waf admits domains of WAF instances.
	// +optional
	WAF *WAFPolicy `json:"waf,omitempty"`
	// esa admits certificates of ESA.
	// +optional
	ESA *ESAPolicy `json:"esa,omitempty"`
	// ga admits listeners of accelerators and their domains.
	// +optional
	GA *GAPolicy `json:"ga,omitempty"`
	// ddos admits domains of Anti-DDoS.
	// +optional
	DDoS *DomainPolicy `json:"ddos,omitempty"`
	// mse admits domains of gateways.
	// +optional
	MSE *MSEPolicy `json:"mse,omitempty"`
	// oss admits domains of buckets.
	// +optional
	OSS *OSSPolicy `json:"oss,omitempty"`
	// fc admits custom domains of Function Compute.
	// +optional
	FC *RegionalDomainPolicy `json:"fc,omitempty"`
}

// ServicePolicy admits Services.
type ServicePolicy struct {
	// names of Services.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Names []Pattern `json:"names,omitempty"`
}

// ALBConfigPolicy admits listeners of AlbConfigs.
type ALBConfigPolicy struct {
	// names of AlbConfigs.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Names []Pattern `json:"names,omitempty"`
	// ports of listeners.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Ports []int32 `json:"ports,omitempty"`
	// slots of listeners.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	Slots []TargetSlot `json:"slots,omitempty"`
}

// ListenerPolicy admits listeners of load balancers.
type ListenerPolicy struct {
	// regionIds of load balancers.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	RegionIDs []Pattern `json:"regionIds,omitempty"`
	// loadBalancerIds of load balancers.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	LoadBalancerIDs []Pattern `json:"loadBalancerIds,omitempty"`
	// listenerIds of listeners.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	ListenerIDs []Pattern `json:"listenerIds,omitempty"`
	// slots of listeners.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	Slots []TargetSlot `json:"slots,omitempty"`
}

// CLBPolicy admits listeners of Classic Load Balancers and their domains.
type CLBPolicy struct {
	// regionIds of load balancers.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	RegionIDs []Pattern `json:"regionIds,omitempty"`
	// loadBalancerIds of load balancers.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	LoadBalancerIDs []Pattern `json:"loadBalancerIds,omitempty"`
	// ports of listeners.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Ports []int32 `json:"ports,omitempty"`
	// domains of listeners. Where they are set, the default certificate of a listener is
	// admitted by "*" alone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Domains []Pattern `json:"domains,omitempty"`
}

// DomainPolicy admits domains.
type DomainPolicy struct {
	// domains that may be bound.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Domains []Pattern `json:"domains,omitempty"`
}

// RegionalDomainPolicy admits domains of regions.
type RegionalDomainPolicy struct {
	// regionIds of the product.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	RegionIDs []Pattern `json:"regionIds,omitempty"`
	// domains that may be bound.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Domains []Pattern `json:"domains,omitempty"`
}

// WAFPolicy admits domains of WAF instances.
type WAFPolicy struct {
	// instanceIds of WAF.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	InstanceIDs []Pattern `json:"instanceIds,omitempty"`
	// domains that may be bound.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Domains []Pattern `json:"domains,omitempty"`
}

// ESAPolicy admits certificates of sites.
type ESAPolicy struct {
	// siteIds of sites.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	SiteIDs []int64 `json:"siteIds,omitempty"`
	// certificateIds are ESA's own.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	CertificateIDs []Pattern `json:"certificateIds,omitempty"`
}

// GAPolicy admits listeners of accelerators and their domains.
type GAPolicy struct {
	// acceleratorIds of accelerators.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	AcceleratorIDs []Pattern `json:"acceleratorIds,omitempty"`
	// listenerIds of listeners.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	ListenerIDs []Pattern `json:"listenerIds,omitempty"`
	// domains of listeners. Where they are set, the default certificate of a listener is
	// admitted by "*" alone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Domains []Pattern `json:"domains,omitempty"`
}

// MSEPolicy admits domains of gateways.
type MSEPolicy struct {
	// regionIds of gateways.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	RegionIDs []Pattern `json:"regionIds,omitempty"`
	// gatewayIds of gateways.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	GatewayIDs []Pattern `json:"gatewayIds,omitempty"`
	// domains that may be bound.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Domains []Pattern `json:"domains,omitempty"`
}

// OSSPolicy admits domains of buckets.
type OSSPolicy struct {
	// regionIds of buckets.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	RegionIDs []Pattern `json:"regionIds,omitempty"`
	// buckets by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Buckets []Pattern `json:"buckets,omitempty"`
	// domains that may be bound.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Domains []Pattern `json:"domains,omitempty"`
}

// CertificateTargetPolicy is the platform team's consent: which namespaces may bind
// certificates for which DNS names to which targets with the operator's own credentials.
// Without a policy that admits it nothing is bound. A policy that is withdrawn stops further
// changes and takes nothing out.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=certificatetargetpolicies,singular=certificatetargetpolicy,shortName=ctp,categories=cloudcert,scope=Cluster
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.namespaces.names`
// +kubebuilder:printcolumn:name="DNS Names",type=string,JSONPath=`.spec.dnsNames`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CertificateTargetPolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says who may bind which certificates where.
	// +required
	Spec CertificateTargetPolicySpec `json:"spec,omitzero"`
}

// CertificateTargetPolicyList is a list of CertificateTargetPolicies.
//
// +kubebuilder:object:root=true
type CertificateTargetPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items of the list.
	Items []CertificateTargetPolicy `json:"items"`
}
