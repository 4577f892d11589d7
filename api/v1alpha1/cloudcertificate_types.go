// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CertificateType says which kind of certificate a Secret holds.
//
// +kubebuilder:validation:Enum=TLS;SM
type CertificateType string

const (
	// CertificateTypeTLS is one certificate with its chain and private key, RSA or ECDSA.
	CertificateTypeTLS CertificateType = "TLS"
	// CertificateTypeSM is a pair of SM2 certificates (GM/T), one to sign and one to encrypt.
	CertificateTypeSM CertificateType = "SM"
)

// DeletionPolicy says what becomes of the certificates in the cloud when the object is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

const (
	// DeletionPolicyRetain leaves every certificate in the cloud.
	DeletionPolicyRetain DeletionPolicy = "Retain"
	// DeletionPolicyDelete removes every version of this object, also what an earlier
	// object of the same namespace and name retained.
	DeletionPolicyDelete DeletionPolicy = "Delete"
)

// CloudCertificateSpec says which Secret to keep in the cloud, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.keys) || (has(self.type) && self.type == 'SM') || !(has(self.keys.signCertificate) || has(self.keys.signPrivateKey) || has(self.keys.encryptCertificate) || has(self.keys.encryptPrivateKey))",message="keys.signCertificate, keys.signPrivateKey, keys.encryptCertificate and keys.encryptPrivateKey belong to type SM; for type TLS set keys.certificate and keys.privateKey",fieldPath=".keys"
// +kubebuilder:validation:XValidation:rule="!has(self.keys) || !has(self.type) || self.type != 'SM' || !(has(self.keys.certificate) || has(self.keys.privateKey))",message="keys.certificate and keys.privateKey belong to type TLS; for type SM set keys.signCertificate, keys.signPrivateKey, keys.encryptCertificate and keys.encryptPrivateKey",fieldPath=".keys"
type CloudCertificateSpec struct {
	// secretRef names the Secret that holds the certificate and its private key.
	// It is always in the namespace of this object. The Secret need not exist yet:
	// the operator waits for it, and uploads each new content of it.
	// +required
	SecretRef SecretReference `json:"secretRef,omitzero"`

	// type says what the Secret holds: TLS, a certificate with its chain and
	// private key as in Secrets of type kubernetes.io/tls; or SM, a pair of SM2
	// certificates (GM/T), one to sign and one to encrypt, each with its key.
	// +optional
	// +default="TLS"
	Type CertificateType `json:"type,omitempty"`

	// keys names the keys of the Secret's data, where they differ from the
	// defaults: tls.crt and tls.key for type TLS; sign.crt, sign.key, enc.crt and
	// enc.key for type SM.
	// +optional
	Keys SecretKeys `json:"keys,omitzero"`

	// namePrefix begins the name of each certificate in the cloud, which goes on
	// with two fixed fields of letters and digits: the identity of this object and
	// the content. 1 to 32 letters, digits and underscores; by default the
	// namespace and name of this object, made to fit. A change applies from the
	// next version of the certificate on.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_]+$')",message="must be 1 to 32 letters, digits and underscores: the cloud takes no others in a certificate's name"
	NamePrefix string `json:"namePrefix,omitempty"`

	// resourceGroupId is the resource group of the account that new versions are
	// put into, for example rg-acfm2pz25js26xq; the account's default group if
	// unset. A change applies from the next version of the certificate on.
	// +optional
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^rg-[A-Za-z0-9]+$')",message="must be the id of a resource group: rg- and then letters and digits"
	ResourceGroupID string `json:"resourceGroupId,omitempty"`

	// tags are put on each new version in the cloud, at most 20. A change applies
	// from the next version of the certificate on.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MaxItems=20
	Tags []Tag `json:"tags,omitempty"`

	// region is the region of CAS that the certificate is uploaded to: cn-hangzhou
	// serves all of mainland China, ap-southeast-1 the rest of the world. CAS has no
	// others. By default it is the one that status.region names, and while there
	// is none, the one of the operator's flag --region. When it changes, the object
	// starts anew in the new region, and its certificates in the old one stay as they
	// are.
	// +optional
	// +kubebuilder:validation:Enum=cn-hangzhou;ap-southeast-1
	Region string `json:"region,omitempty"`

	// credentialsSecretRef names a Secret in the namespace of this object with the
	// credentials to use: accessKeyId, accessKeySecret and, for temporary ones,
	// securityToken. By default the operator's own credentials are used. When the
	// account changes, the object starts anew in the new account, and its
	// certificates in the old one stay as they are.
	// +optional
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef,omitzero"`

	// deletionPolicy says what becomes of the certificates in the cloud when this
	// object is deleted: Retain leaves them all, Delete removes every version of this
	// object, also those that history does not show, and also what an earlier object
	// of the same namespace and name retained. What is known to be another certificate
	// under a name of this object stays. The policy may be changed at any time, also
	// while the object is being deleted. A suspended object is deleted without touching
	// the cloud, and so is one with the annotation cloudcert.io/orphan: "true".
	// +optional
	// +default="Retain"
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// revisionHistoryLimit is how many superseded versions are kept in the cloud,
	// 0 to 50; unset keeps all. The oldest are deleted,
	// once the current version has been published for the operator's --prune-delay
	// (24 hours by default): those who use the certificates need time to follow, and
	// the cloud is not known to refuse the deletion of a certificate in use.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=50
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`

	// suspend stops every call to the cloud for this object while it is true. What
	// is in the cloud stays there.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// SecretReference names a Secret in the namespace of the object that refers to it.
type SecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a Secret: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`
}

// SecretKey is a key in the data of a Secret.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, '-', '_' and '.'"
type SecretKey string

// SecretKeys names the keys of the Secret's data that hold the parts of the certificate.
type SecretKeys struct {
	// certificate is the key of the PEM certificate and its chain, for type TLS; tls.crt by default.
	// +optional
	Certificate SecretKey `json:"certificate,omitempty"`

	// privateKey is the key of the PEM private key, for type TLS; tls.key by default.
	// +optional
	PrivateKey SecretKey `json:"privateKey,omitempty"`

	// signCertificate is the key of the PEM certificate to sign with and its chain, for type SM; sign.crt by default.
	// +optional
	SignCertificate SecretKey `json:"signCertificate,omitempty"`

	// signPrivateKey is the key of the PEM private key to sign with, for type SM; sign.key by default.
	// +optional
	SignPrivateKey SecretKey `json:"signPrivateKey,omitempty"`

	// encryptCertificate is the key of the PEM certificate to encrypt with and its chain, for type SM; enc.crt by default.
	// +optional
	EncryptCertificate SecretKey `json:"encryptCertificate,omitempty"`

	// encryptPrivateKey is the key of the PEM private key to decrypt with, for type SM; enc.key by default.
	// +optional
	EncryptPrivateKey SecretKey `json:"encryptPrivateKey,omitempty"`
}

// Tag is a key and a value that the cloud stores beside a certificate.
type Tag struct {
	// key of the tag, 1 to 128 characters. It must not begin with aliyun or acs:
	// and must not contain http:// or https://: the cloud reserves these.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().startsWith('aliyun') && !self.lowerAscii().startsWith('acs:')",message="must not begin with 'aliyun' or 'acs:': the cloud reserves these keys"
	// +kubebuilder:validation:XValidation:rule="!self.contains('http://') && !self.contains('https://')",message="must not contain 'http://' or 'https://': the cloud refuses it"
	Key string `json:"key,omitempty"`

	// value of the tag, at most 128 characters, without http:// or https://.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.contains('http://') && !self.contains('https://')",message="must not contain 'http://' or 'https://': the cloud refuses it"
	Value string `json:"value,omitempty"`
}

// CloudCertificateStatus says what is in the cloud for this object.
type CloudCertificateStatus struct {
	// observedGeneration is the generation of the spec that this status answers; -1 before the first answer.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// certId is the id of the current version in the cloud (CAS: CertId). It
	// changes with each renewal: a certificate in the cloud is never modified.
	// +optional
	// +kubebuilder:validation:Minimum=1
	CertID int64 `json:"certId,omitempty"`

	// resourceId is the resource id of the current version (CAS: ResourceId), for example cas-upload-xki1d0.
	// +optional
	ResourceID string `json:"resourceId,omitempty"`

	// certIdentifier is certId and the region, for example 12345-cn-hangzhou: the
	// form that ALB, NLB, WAF, OSS and AlbConfig take.
	// +optional
	CertIdentifier string `json:"certIdentifier,omitempty"`

	// name of the current version in the cloud: prefix, identity of this object
	// and content, joined by underscores.
	// +optional
	Name string `json:"name,omitempty"`

	// accountId is the account that certId and history live in; empty where it could not be learned.
	// +optional
	AccountID string `json:"accountId,omitempty"`

	// region is the region of CAS that certId and history live in.
	// +optional
	Region string `json:"region,omitempty"`

	// contentHash is the digest of the certificate chain in the cloud, sha256:
	// and 64 hex digits. The private key is no part of it.
	// +optional
	ContentHash string `json:"contentHash,omitempty"`

	// secretUID and secretResourceVersion are the version of the Secret that was
	// last found in the cloud or invalid.
	// +optional
	SecretUID string `json:"secretUID,omitempty"`

	// secretResourceVersion belongs to secretUID. It is compared for equality only.
	// +optional
	SecretResourceVersion string `json:"secretResourceVersion,omitempty"`

	// lastUploadTime is when the current version became that: when it was uploaded, or found in the cloud and adopted (a rollback, a lost status).
	// +optional
	LastUploadTime metav1.Time `json:"lastUploadTime,omitzero"`

	// lastHandledResync is the value of the annotation cloudcert.io/resync that was last handled,
	// or the SHA-256 in hex of a value that is longer than 64 bytes.
	// +optional
	LastHandledResync string `json:"lastHandledResync,omitempty"`

	// certificate describes the certificate in the cloud; for type SM the one that signs.
	// +optional
	Certificate CertificateFacts `json:"certificate,omitzero"`

	// history lists superseded versions that are still in the cloud, newest first, at most 50.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	History []CertificateVersion `json:"history,omitempty"`

	// historyTotal is the number of superseded versions in the cloud, also of those that history does not show.
	// +optional
	HistoryTotal int32 `json:"historyTotal,omitempty"`

	// foreignCertIds are certificates that held a name of this object although, by their digest,
	// they were others. They are never deleted, and stay here, the newest 50, also when they are gone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=50
	ForeignCertIDs []int64 `json:"foreignCertIds,omitempty"`

	// conditions say how it stands: Ready is always there once the object was looked at, Stalled only while it is True.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// CertificateFacts describes an X.509 certificate.
type CertificateFacts struct {
	// commonName of the subject.
	// +optional
	CommonName string `json:"commonName,omitempty"`

	// dnsNames of the subject alternative names, at most 100 of them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	DNSNames []string `json:"dnsNames,omitempty"`

	// dnsNamesTotal is the number of DNS names in the certificate, also of those that dnsNames does not show.
	// +optional
	DNSNamesTotal int32 `json:"dnsNamesTotal,omitempty"`

	// serialNumber in lower-case hex digits.
	// +optional
	SerialNumber string `json:"serialNumber,omitempty"`

	// issuer is the issuer's distinguished name (RFC 4514).
	// +optional
	Issuer string `json:"issuer,omitempty"`

	// notBefore is the first moment at which the certificate is valid.
	// +optional
	NotBefore metav1.Time `json:"notBefore,omitzero"`

	// notAfter is the last moment at which the certificate is valid.
	// +optional
	NotAfter metav1.Time `json:"notAfter,omitzero"`

	// fingerprintSHA256 is the SHA-256 digest of the certificate's DER, in lower-case hex digits.
	// +optional
	FingerprintSHA256 string `json:"fingerprintSHA256,omitempty"`
}

// CertificateVersion is one superseded version in the cloud.
type CertificateVersion struct {
	// certId of the version.
	// +required
	// +kubebuilder:validation:Minimum=1
	CertID int64 `json:"certId,omitempty"`

	// resourceId of the version.
	// +optional
	ResourceID string `json:"resourceId,omitempty"`

	// certIdentifier of the version.
	// +optional
	CertIdentifier string `json:"certIdentifier,omitempty"`

	// name of the version.
	// +optional
	Name string `json:"name,omitempty"`

	// fingerprintSHA256 of the version's certificate.
	// +optional
	FingerprintSHA256 string `json:"fingerprintSHA256,omitempty"`

	// notAfter of the version's certificate.
	// +optional
	NotAfter metav1.Time `json:"notAfter,omitzero"`

	// uploadTime is when the version was uploaded, where that is known.
	// +optional
	UploadTime metav1.Time `json:"uploadTime,omitzero"`
}

// CloudCertificate keeps the certificate of a Secret in Alibaba Cloud Certificate
// Management Service (CAS): each content of the Secret is uploaded once, and the
// ids that load balancers, CDNs and firewalls ask for are in its status.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=cloudcertificates,singular=cloudcertificate,shortName=ccert,categories=cloudcert,scope=Namespaced
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Cert ID",type=integer,format=int64,JSONPath=`.status.certId`
// +kubebuilder:printcolumn:name="Resource ID",type=string,JSONPath=`.status.resourceId`
// +kubebuilder:printcolumn:name="Not After",type=string,JSONPath=`.status.certificate.notAfter`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Cloud Name",type=string,priority=1,JSONPath=`.status.name`
type CloudCertificate struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says which Secret to keep in the cloud, and how.
	// +required
	Spec CloudCertificateSpec `json:"spec,omitzero"`

	// status says what is in the cloud.
	// +optional
	// +default={"observedGeneration":-1}
	Status CloudCertificateStatus `json:"status,omitzero"`
}

// CloudCertificateList is a list of CloudCertificates.
//
// +kubebuilder:object:root=true
type CloudCertificateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items of the list.
	Items []CloudCertificate `json:"items"`
}
