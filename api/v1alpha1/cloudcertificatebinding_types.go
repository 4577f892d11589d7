// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TargetSlot says which place of a listener a certificate goes to.
//
// +kubebuilder:validation:Enum=Default;Additional
type TargetSlot string

const (
	// SlotDefault is the certificate that a listener serves where no other one fits. What is
	// there is replaced.
	SlotDefault TargetSlot = "Default"
	// SlotAdditional is one of the certificates from which the listener chooses by the name
	// that a client asks for (SNI).
	SlotAdditional TargetSlot = "Additional"
)

// DriftPolicy says what happens when somebody else's certificate stands where ours was.
//
// +kubebuilder:validation:Enum=Report;Restore
type DriftPolicy string

const (
	// DriftReport leaves it there and says so.
	DriftReport DriftPolicy = "Report"
	// DriftRestore puts ours back, at most three times an hour.
	DriftRestore DriftPolicy = "Restore"
)

// BindingDeletionPolicy says what becomes of the certificate at its target when the binding is
// deleted.
//
// +kubebuilder:validation:Enum=Leave;Unbind
type BindingDeletionPolicy string

const (
	// BindingLeave leaves the certificate where it is.
	BindingLeave BindingDeletionPolicy = "Leave"
	// BindingUnbind takes our own certificates out of an Additional slot, or our own fields
	// out of an object of the cluster.
	BindingUnbind BindingDeletionPolicy = "Unbind"
)

// Region is a region of Alibaba Cloud.
//
// +kubebuilder:validation:MinLength=4
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]{2}(-[a-z0-9]+)+$')",message="must be a region of Alibaba Cloud, for example cn-shanghai"
type Region string

// Domain is one domain of a product.
//
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^([*]?[.])?[a-z0-9_]([a-z0-9_-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)+$')",message="must be a domain in lower-case letters (IDNs as xn--), for example www.example.com; a wildcard domain is *.example.com, or .example.com as CDN shows it"
type Domain string

// CloudCertificateBindingSpec says which certificate to carry where.
//
// +kubebuilder:validation:XValidation:rule="self.onDelete != 'Unbind' || has(self.target.configMap) || has(self.target.service) || (has(self.target.alb) && self.target.alb.slot == 'Additional') || (has(self.target.nlb) && self.target.nlb.slot == 'Additional') || (has(self.target.albConfig) && self.target.albConfig.slot == 'Additional')",message="Unbind is for Additional slots, configMap and service: a listener's default and a domain's only certificate are never taken away",fieldPath=".onDelete"
type CloudCertificateBindingSpec struct {
	// certificateRef names the CloudCertificate whose current version is carried to the
	// target. It is always in the namespace of this object, and need not exist yet.
	// +required
	CertificateRef CertificateReference `json:"certificateRef,omitzero"`

	// target is the one place that the certificate is carried to. It cannot be changed:
	// another target is another binding.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a target cannot be changed: delete this binding and make another one"
	Target BindingTarget `json:"target,omitzero"`

	// adopt names certificates of somebody else that may be replaced in the slot, by their
	// full identifiers, for example 24410517-cn-hangzhou, as the status or a console shows
	// them. In an Additional slot they are taken out after ours has been put in. "*" stands
	// for whatever is in the way at the first placement; a CertificateTargetPolicy has to
	// allow it, and in an Additional slot, where nothing is in the way, it replaces nothing.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([*]|[A-Za-z0-9][A-Za-z0-9_.:-]*)$') && !self.matches('^[0-9]+$')",message="must be the full identifier of a certificate, for example 24410517-cn-hangzhou, or *"
	Adopt []string `json:"adopt,omitempty"`

	// onDrift says what happens when, after the first placement, somebody else's certificate
	// stands where ours was: Report says so and changes nothing, Restore puts ours back.
	// +optional
	// +default="Report"
	OnDrift DriftPolicy `json:"onDrift,omitempty"`

	// onDelete says what becomes of the certificate at the target when this object is
	// deleted: Leave leaves it there, Unbind takes it out of an Additional slot, a ConfigMap
	// or a Service. A listener's default and a domain's only certificate always stay.
	// +optional
	// +default="Leave"
	OnDelete BindingDeletionPolicy `json:"onDelete,omitempty"`

	// credentialsSecretRef names a Secret in the namespace of this object with the
	// credentials to use: accessKeyId, accessKeySecret and, for temporary ones,
	// securityToken. By default those of the CloudCertificate are used. They must be of
	// the same account.
	// +optional
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef,omitzero"`

	// suspend stops every change of the target while it is true; the target is still read.
	// On a new binding it shows what is in the slot before anything is written.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// CertificateReference names a CloudCertificate in the namespace of the object that refers to
// it.
type CertificateReference struct {
	// name of the CloudCertificate.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a CloudCertificate: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`
}

// BindingTarget is exactly one place that uses a certificate. Each kind of it works where the
// operator's flag --bind-targets names it.
//
// +kubebuilder:validation:ExactlyOneOf=configMap;service;albConfig;alb;nlb;clb;cdn;dcdn;vod;waf;esa;ga;ddos;mse;oss;fc
type BindingTarget struct {
	// configMap writes the ids into a ConfigMap of the same namespace, for whatever reads
	// them there. No call is made to the cloud.
	// +optional
	ConfigMap *ConfigMapTarget `json:"configMap,omitempty"`

	// service writes the id into the annotation
	// service.beta.kubernetes.io/alibaba-cloud-loadbalancer-cert-id of a Service of the same
	// namespace: for an NLB the identifier, for a CLB the id of its own copy.
	// +optional
	Service *ServiceTarget `json:"service,omitempty"`

	// albConfig writes the identifier into a listener of an AlbConfig, from which the ALB
	// Ingress controller configures its load balancer.
	// +optional
	ALBConfig *ALBConfigTarget `json:"albConfig,omitempty"`

	// alb is a listener of an Application Load Balancer.
	// +optional
	ALB *ALBTarget `json:"alb,omitempty"`

	// nlb is a listener of a Network Load Balancer.
	// +optional
	NLB *NLBTarget `json:"nlb,omitempty"`

	// clb is a listener of a Classic Load Balancer, or one of its domains. The certificate is
	// imported into the load balancer's own store.
	// +optional
	CLB *CLBTarget `json:"clb,omitempty"`

	// cdn is a domain of CDN.
	// +optional
	CDN *DomainTarget `json:"cdn,omitempty"`

	// dcdn is a domain of Dynamic Content Delivery Network.
	// +optional
	DCDN *DomainTarget `json:"dcdn,omitempty"`

	// vod is a domain of Video on Demand.
	// +optional
	VOD *RegionalDomainTarget `json:"vod,omitempty"`

	// waf is a domain of Web Application Firewall 3.0 in CNAME access.
	// +optional
	WAF *WAFTarget `json:"waf,omitempty"`

	// esa is a certificate of a site of Edge Security Acceleration; it is updated in place.
	// +optional
	ESA *ESATarget `json:"esa,omitempty"`

	// ga is a listener of Global Accelerator, or one of its domains.
	// +optional
	GA *GATarget `json:"ga,omitempty"`

	// ddos is a domain of Anti-DDoS.
	// +optional
	DDoS *DomainTarget `json:"ddos,omitempty"`

	// mse is a domain of a gateway of Microservices Engine.
	// +optional
	MSE *MSETarget `json:"mse,omitempty"`

	// oss is a domain of a bucket of Object Storage Service. OSS fetches the private key
	// with the rights of the credentials: see the documentation before it is used.
	// +optional
	OSS *OSSTarget `json:"oss,omitempty"`

	// fc is a custom domain of Function Compute. The private key travels in the call: see the
	// documentation before it is used.
	// +optional
	FC *RegionalDomainTarget `json:"fc,omitempty"`
}

// ConfigMapTarget is a ConfigMap.
type ConfigMapTarget struct {
	// name of the ConfigMap, in the namespace of this object. It is made if it does not exist.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a ConfigMap: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`

	// keys names the keys of the ConfigMap's data, where they differ from the defaults:
	// certId and certIdentifier.
	// +optional
	Keys ConfigMapKeys `json:"keys,omitzero"`
}

// ConfigMapKeys names keys of a ConfigMap's data.
//
// +kubebuilder:validation:XValidation:rule="(has(self.certId) ? self.certId : 'certId') != (has(self.certIdentifier) ? self.certIdentifier : 'certIdentifier')",message="certId and certIdentifier must be two different keys"
type ConfigMapKeys struct {
	// certId is the key for the number of the certificate; certId by default.
	// +optional
	CertID ConfigMapKey `json:"certId,omitempty"`

	// certIdentifier is the key for number and region, for example 12345-cn-hangzhou;
	// certIdentifier by default.
	// +optional
	CertIdentifier ConfigMapKey `json:"certIdentifier,omitempty"`
}

// ConfigMapKey is a key in the data of a ConfigMap.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && self != '..'",message="must be a key of a ConfigMap: letters, digits, '-', '_' and '.'"
type ConfigMapKey string

// ServiceTarget is a Service of type LoadBalancer.
type ServiceTarget struct {
	// name of the Service, in the namespace of this object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be the name of a Service: lower-case letters, digits and '-'"
	Name string `json:"name,omitempty"`
}

// ALBConfigTarget is a listener of an AlbConfig.
type ALBConfigTarget struct {
	// name of the AlbConfig, which belongs to no namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of an AlbConfig: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`

	// port of the listener.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// slot is Default, the certificate that is marked IsDefault, or Additional, one of the
	// others.
	// +required
	Slot TargetSlot `json:"slot,omitempty"`
}

// ALBTarget is a listener of an Application Load Balancer.
type ALBTarget struct {
	// regionId of the load balancer, for example cn-shanghai.
	// +required
	RegionID Region `json:"regionId,omitempty"`

	// listenerId of an HTTPS or QUIC listener, for example lsn-o4u54y73wq7b.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^lsn-[a-z0-9]+$')",message="must be the id of a listener: lsn- and then letters and digits"
	ListenerID string `json:"listenerId,omitempty"`

	// slot is Default, which is replaced, or Additional, to which ours is added. There is no
	// default for it: the two are not to be confused.
	// +required
	Slot TargetSlot `json:"slot,omitempty"`
}

// NLBTarget is a listener of a Network Load Balancer.
type NLBTarget struct {
	// regionId of the load balancer, for example cn-shanghai.
	// +required
	RegionID Region `json:"regionId,omitempty"`

	// listenerId of a TCPSSL listener, for example lsn-bp1bpn908w4n@443.
	// +required
	// +kubebuilder:validation:MinLength=7
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^lsn-[a-z0-9]+@[1-9][0-9]{0,4}$')",message="must be the id of a listener of an NLB: lsn-, letters and digits, then @ and its port"
	ListenerID string `json:"listenerId,omitempty"`

	// slot is Default, which is replaced, or Additional, to which ours is added.
	// +required
	Slot TargetSlot `json:"slot,omitempty"`
}

// CLBTarget is a listener of a Classic Load Balancer, or one of its domains.
type CLBTarget struct {
	// regionId of the load balancer, for example cn-shanghai.
	// +required
	RegionID Region `json:"regionId,omitempty"`

	// loadBalancerId is for example lb-bp1o94dp5i6ea.
	// +required
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^lb-[a-z0-9]+$')",message="must be the id of a load balancer: lb- and then letters and digits"
	LoadBalancerID string `json:"loadBalancerId,omitempty"`

	// port of the HTTPS listener.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// domain of one of the listener's additional domains; unset for its default certificate.
	// +optional
	Domain Domain `json:"domain,omitempty"`
}

// DomainTarget is a domain of a product that has one endpoint.
type DomainTarget struct {
	// domain that is bound, for example www.example.com.
	// +required
	Domain Domain `json:"domain,omitempty"`
}

// RegionalDomainTarget is a domain of a product that has an endpoint in each region.
type RegionalDomainTarget struct {
	// regionId of the product, for example cn-shanghai.
	// +required
	RegionID Region `json:"regionId,omitempty"`

	// domain that is bound, for example www.example.com.
	// +required
	Domain Domain `json:"domain,omitempty"`
}

// WAFTarget is a domain of a WAF instance. Its region follows from that of the certificate.
type WAFTarget struct {
	// instanceId is for example waf_v3prepaid_public_cn-4xl3n2xj201.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="must be the id of a WAF instance: letters, digits, '-' and '_'"
	InstanceID string `json:"instanceId,omitempty"`

	// domain that is bound, for example www.example.com.
	// +required
	Domain Domain `json:"domain,omitempty"`
}

// ESATarget is a certificate of a site.
type ESATarget struct {
	// siteId is the number of the site.
	// +required
	// +kubebuilder:validation:Minimum=1
	SiteID int64 `json:"siteId,omitempty"`

	// certificateId is ESA's own id of the certificate that is updated in place.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="must be the id of a certificate of ESA: letters, digits, '-' and '_'"
	CertificateID string `json:"certificateId,omitempty"`
}

// GATarget is a listener of an accelerator, or one of its domains.
type GATarget struct {
	// acceleratorId is for example ga-bp17frjjh0udz4qzv8cgj.
	// +required
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^ga-[a-z0-9]+$')",message="must be the id of an accelerator: ga- and then letters and digits"
	AcceleratorID string `json:"acceleratorId,omitempty"`

	// listenerId of an HTTPS listener, for example lsr-bp1bpn908w4nbmw6cms5c.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^lsr-[a-z0-9]+$')",message="must be the id of a listener: lsr- and then letters and digits"
	ListenerID string `json:"listenerId,omitempty"`

	// domain of one of the listener's additional certificates; unset for its default one.
	// +optional
	Domain Domain `json:"domain,omitempty"`
}

// MSETarget is a domain of a cloud-native gateway.
type MSETarget struct {
	// regionId of the gateway, for example cn-shanghai.
	// +required
	RegionID Region `json:"regionId,omitempty"`

	// gatewayId is the gateway's unique id, for example gw-c9bc5afd61014165bd58f621b491.
	// +required
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^gw-[a-z0-9]+$')",message="must be the id of a gateway: gw- and then letters and digits"
	GatewayID string `json:"gatewayId,omitempty"`

	// domain that is bound, for example www.example.com.
	// +required
	Domain Domain `json:"domain,omitempty"`
}

// OSSTarget is a domain of a bucket.
type OSSTarget struct {
	// regionId of the bucket, for example cn-shanghai.
	// +required
	RegionID Region `json:"regionId,omitempty"`

	// bucket is the name of the bucket.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9-]*[a-z0-9]$')",message="must be the name of a bucket: lower-case letters, digits and '-'"
	Bucket string `json:"bucket,omitempty"`

	// domain that is mapped to the bucket, for example www.example.com.
	// +required
	Domain Domain `json:"domain,omitempty"`
}

// CloudCertificateBindingStatus says what is at the target.
type CloudCertificateBindingStatus struct {
	// observedGeneration is the generation of the spec that this status answers; -1 before the first answer.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// target is the place in one line, for example alb/cn-shanghai/lsn-o4u54y73wq7b Additional.
	// +optional
	Target string `json:"target,omitempty"`

	// firstReadTime is when the target was first read. Until then it is unknown which version
	// of the certificate it uses, and none is pruned.
	// +optional
	FirstReadTime metav1.Time `json:"firstReadTime,omitzero"`

	// boundCertId is the version of the certificate that the target was last seen to use.
	// +optional
	// +kubebuilder:validation:Minimum=1
	BoundCertID int64 `json:"boundCertId,omitempty"`

	// boundCertIdentifier is boundCertId and its region, for example 12346-cn-hangzhou.
	// +optional
	BoundCertIdentifier string `json:"boundCertIdentifier,omitempty"`

	// boundTime is when the target was first seen to use boundCertId.
	// +optional
	BoundTime metav1.Time `json:"boundTime,omitzero"`

	// pendingCertId is the version that is being placed.
	// +optional
	// +kubebuilder:validation:Minimum=1
	PendingCertID int64 `json:"pendingCertId,omitempty"`

	// pendingSince is when its placement began.
	// +optional
	PendingSince metav1.Time `json:"pendingSince,omitzero"`

	// leftoverCertIds are earlier versions that are still at the target and will be taken out.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=50
	LeftoverCertIDs []int64 `json:"leftoverCertIds,omitempty"`

	// replacedCertIdentifier is the certificate of somebody else that the last placement took
	// out: the way back.
	// +optional
	ReplacedCertIdentifier string `json:"replacedCertIdentifier,omitempty"`

	// providerCertificateId is the product's own id of the certificate, where it has one (CLB, ESA).
	// +optional
	ProviderCertificateID string `json:"providerCertificateId,omitempty"`

	// accountId is the account of the target; empty where it could not be learned.
	// +optional
	AccountID string `json:"accountId,omitempty"`

	// lastHandledResync is the value of the annotation cloudcert.io/resync that was last handled.
	// +optional
	LastHandledResync string `json:"lastHandledResync,omitempty"`

	// conditions say how it stands: Ready is always there once the object was looked at, Stalled only while it is True.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// CloudCertificateBinding carries each new version of a CloudCertificate to one place that
// uses it: a listener, a domain, or an object of the cluster. What is not ours is never taken
// out, unless spec.adopt names it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=cloudcertificatebindings,singular=cloudcertificatebinding,shortName=ccb,categories=cloudcert,scope=Namespaced
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Certificate",type=string,JSONPath=`.spec.certificateRef.name`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.status.target`
// +kubebuilder:printcolumn:name="Bound Cert ID",type=integer,format=int64,JSONPath=`.status.boundCertId`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Pending",type=integer,format=int64,priority=1,JSONPath=`.status.pendingCertId`
type CloudCertificateBinding struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says which certificate to carry where.
	// +required
	Spec CloudCertificateBindingSpec `json:"spec,omitzero"`

	// status says what is at the target.
	// +optional
	// +default={"observedGeneration":-1}
	Status CloudCertificateBindingStatus `json:"status,omitzero"`
}

// CloudCertificateBindingList is a list of CloudCertificateBindings.
//
// +kubebuilder:object:root=true
type CloudCertificateBindingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items of the list.
	Items []CloudCertificateBinding `json:"items"`
}
