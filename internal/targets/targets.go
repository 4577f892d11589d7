// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// Adapter reads and changes the slots of one kind of target. It decides nothing: which
// certificate is ours, who may bind where and in which order things happen is decided by its
// caller. It keeps nothing either, so that one is made for each reconcile.
//
// Every method is idempotent: to call it again, after a crash or a lost answer, is always
// safe. What a method returns says what was accepted; what is so is said by Read alone. All
// errors are *Error.
type Adapter interface {
	// Read returns what the resource of the target holds: the whole listener with its default
	// and all its additional certificates, not the slot alone. It depends on Target.ReadKey
	// and on nothing else, so that all bindings of one listener can share an answer. Read is
	// idempotent: it changes nothing.
	Read(ctx context.Context, t Target) (State, error)

	// Owner returns who else manages the resource: the cloud controller manager or the ALB
	// Ingress controller of a cluster would undo what is placed. It is asked once, before the
	// first placement, with the state that Read returned. Owner is idempotent: it changes
	// nothing.
	Owner(ctx context.Context, t Target, s State) (Owner, error)

	// Place asks for the certificate of p to be served in the slot of t. The state is what
	// Read returned right before; Place sends nothing where that already shows the
	// certificate in the slot, and fails with Progressing where it shows that the resource is
	// being changed. In a Default slot, and for a domain, the certificate takes the place of
	// the one that is there, in one call. In an Additional slot it is added, and nothing else
	// is taken out.
	//
	// No error means that the request was accepted, or that the product says it is so already.
	// Only a later Read shows whether the certificate is in the slot. Place is idempotent: the
	// same placement sends the same client token, where the product has one, and the same
	// content everywhere else.
	Place(ctx context.Context, t Target, s State, p Placement) error

	// Remove takes certificates out of the resource: additional ones of a listener, or ones
	// that a product keeps in a store of its own and serves to nobody (RoleStored). That they
	// are ours is for the caller to prove. The state is what Read returned right before:
	// Remove fails, and sends nothing, where that is not complete, is of a resource that is
	// being changed, or shows one of the certificates as a default or the only one of a
	// domain. Those that it does not show are left out.
	//
	// No error means that the request was accepted. Remove is idempotent: what is gone already
	// is no error.
	Remove(ctx context.Context, t Target, s State, r Removal) error
}

// Several is an Adapter of a product that takes several certificates into Additional slots in one
// call.
type Several interface {
	// PlaceAll is Place for several certificates at once, at most MostTogether, of which it leaves
	// out those that the state shows already. All are placed, or none: what the product refuses
	// may be about any of them. PlaceAll is idempotent, as Place is.
	PlaceAll(ctx context.Context, t Target, s State, all []Placement) error
}

// MostTogether is how many certificates go into one call.
const MostTogether = maxPerCall

// Store is an Adapter of a product that keeps a copy of each certificate in a store of its own
// (CLB). A Service names a certificate of that store in an annotation.
type Store interface {
	Adapter

	// Copies returns what the store of the target's region holds of certificates of CAS, each as
	// RoleStored, also those that something serves. Copies is idempotent: it changes nothing.
	Copies(ctx context.Context, t Target) (State, error)

	// Import returns the id of the product's copy of a certificate, and makes one where there is
	// none. The state is what Copies returned right before. Import is idempotent: an import whose
	// answer was lost is among the copies of the next time, and where two have crossed, the oldest
	// copy counts.
	Import(ctx context.Context, t Target, s State, c Certificate) (providerID string, err error)
}

// Product names a kind of target, as --bind-targets and spec.target do.
type Product string

// The kinds of target. Only those that Names returns are built here; service, albconfig and
// configmap are objects of the cluster and stand elsewhere.
const (
	ALB       Product = "alb"
	NLB       Product = "nlb"
	CLB       Product = "clb"
	CDN       Product = "cdn"
	DCDN      Product = "dcdn"
	VOD       Product = "vod"
	WAF       Product = "waf"
	ESA       Product = "esa"
	GA        Product = "ga"
	DDoS      Product = "ddos"
	MSE       Product = "mse"
	OSS       Product = "oss"
	FC        Product = "fc"
	Service   Product = "service"
	ALBConfig Product = "albconfig"
	ConfigMap Product = "configmap"
)

// Slot is where in a resource a certificate goes.
type Slot string

const (
	// SlotOnly is the slot of what has one: a domain, a ConfigMap.
	SlotOnly Slot = ""
	// SlotDefault is the certificate that a listener serves where no other fits.
	SlotDefault Slot = "Default"
	// SlotAdditional is one of the certificates from which SNI chooses.
	SlotAdditional Slot = "Additional"
)

// Target names one slot. Fields that the product does not have are empty.
type Target struct {
	// Product says which adapter understands the target.
	Product Product
	// Region is the product's own, not that of CAS; empty for CDN, DCDN and GA, which have one
	// endpoint for all. WAF, ESA and Anti-DDoS are there twice, like CAS: theirs is the region
	// of the CloudCertificate.
	Region string
	// Resource is the listener (ALB, NLB), the load balancer (CLB), the instance (WAF), the
	// site (ESA), the accelerator (GA), the gateway (MSE), the bucket (OSS), or the object in the
	// cluster as namespace/name or name.
	Resource string
	// Part is the port (CLB, AlbConfig), the listener (GA) or ESA's own id of the certificate.
	Part string
	// Domain is empty for ALB and NLB; for CLB and GA empty is the listener's default.
	Domain string
	// Slot is SlotOnly but for ALB, NLB and AlbConfig.
	Slot Slot
}

// String returns the target as status.target shows it: alb/cn-shanghai/lsn-x Additional.
func (t Target) String() string {
	text := joinSet("/", string(t.Product), t.Region, t.Resource, t.Part, t.Domain)
	if t.Slot != SlotOnly {
		text += " " + string(t.Slot)
	}
	return text
}

// joinSet joins the fields that are not empty.
func joinSet(separator string, fields ...string) string {
	return strings.Join(slices.DeleteFunc(fields, func(field string) bool { return field == "" }), separator)
}

// Whole is what one Read serves all slots of: the target without what tells those apart.
func (t Target) Whole() Target {
	switch t.Product {
	case ALB, NLB, CLB, GA, ALBConfig:
		t.Domain, t.Slot = "", SlotOnly
	}
	return t
}

// ReadKey is the same for all targets that one Read serves.
func (t Target) ReadKey() string {
	whole := t.Whole()
	return t.key(whole.Region, whole.Resource, whole.Part, whole.Domain)
}

// WriterKey is the same for all targets of which one may be written at a time: while one is
// being changed, the product refuses changes of the others.
func (t Target) WriterKey() string {
	if t.Product == GA || t.Product == ALBConfig {
		return t.key(t.Region, t.Resource)
	}
	return t.ReadKey()
}

// QuotaKey is the same for all targets of an account whose certificates one quota counts together,
// by a state that was read: those of all listeners of an ALB (T14), and maybe of an NLB (T24), and the
// copies in the store of CLB of a region (T41). Elsewhere each resource has its own.
func (t Target) QuotaKey(s State) string {
	switch t.Product {
	case ALB, NLB:
		return t.key(t.Region, s.LoadBalancer)
	case CLB:
		return t.key(t.Region)
	}
	return t.WriterKey()
}

// SlotKey is the same for two bindings that want one slot. A listener has an additional slot
// for each certificate, so that identity, the CloudCertificate's own, tells those apart.
func (t Target) SlotKey(identity string) string {
	key := t.key(t.Region, t.Resource, t.Part, t.Domain, string(t.Slot))
	if t.Slot == SlotAdditional {
		key += "|" + identity
	}
	return key
}

// key keeps empty fields, so that no two lists of fields are alike.
func (t Target) key(fields ...string) string {
	return string(t.Product) + "|" + strings.Join(fields, "|")
}

// Certificate is one in CAS, as the status of its CloudCertificate has it.
type Certificate struct {
	// CertID is at least 1.
	CertID int64
	// Region is that of CAS: cn-hangzhou or ap-southeast-1.
	Region string
	// Name is its name in CAS.
	Name string
	// SM reports whether it is a pair of SM2 certificates.
	SM bool
}

// Identifier returns the form in which most products name a certificate, 12345-cn-hangzhou
// (F27).
func (c Certificate) Identifier() string {
	return strconv.FormatInt(c.CertID, 10) + "-" + c.Region
}

// ParseIdentifier splits an identifier into the id of the certificate and the region of CAS.
// It reports whether the text is one: a bare number is none.
func ParseIdentifier(text string) (certID int64, region string, ok bool) {
	number, region, found := strings.Cut(text, "-")
	certID, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil || certID <= 0 || region == "" || strconv.FormatInt(certID, 10) != number {
		return 0, "", false
	}
	return certID, region, true
}

// Placement is one certificate to place.
type Placement struct {
	Certificate Certificate
	// Seed makes the client token, together with what is sent. The same attempt repeats its
	// seed, also after a crash; another attempt has another, or the product would answer it
	// with the outcome of the first and change nothing: a rollback places a certificate that
	// was placed before, and a change that was accepted may have come to nothing. So it holds
	// the binding's UID, the certificate and what the status has kept of the attempt
	// (pendingSince), which begins anew when the attempt is given up.
	Seed string
	// Content reads the certificate with its key, for a product that takes no id (TakesKey); else it
	// is nil. It is called when everything else is ready to be sent. Its error is that of Place.
	Content func(context.Context) (Content, error)
}

// Content is a certificate with its key, as PEM. It redacts itself in every verb of fmt, in JSON and
// in slog; it is kept in no field.
type Content struct {
	// Certificate is the chain, the leaf first; PrivateKey is PKCS#1 or SEC1.
	Certificate, PrivateKey string
}

// Format implements fmt.Formatter: no verb shows the content.
func (Content) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, alibaba.Redacted) }

// MarshalText implements encoding.TextMarshaler, which JSON and slog use.
func (Content) MarshalText() ([]byte, error) { return []byte(alibaba.Redacted), nil }

// Removal is what is to be taken out.
type Removal struct {
	// Entries are some of the state's.
	Entries []Entry
	// Seed is that of Placement, but another one each time: what is taken out is still there, so
	// that no attempt before has done it, and to take it out twice does no harm.
	Seed string
}

// State is what a resource holds, as it was read.
type State struct {
	// Entries are all certificates of the resource, foreign ones too. A slot without one is
	// empty.
	Entries []Entry
	// Incomplete says why this may not be all of them, for people; empty if it is. Then
	// nothing may be concluded from what is missing, and nothing may be removed.
	Incomplete string
	// Busy reports whether the resource is being changed (ListenerStatus Configuring): it
	// would refuse a write.
	Busy bool
	// Status is the product's own word for the condition of the resource, for messages.
	Status string
	// LoadBalancer is the instance of a listener, for policies; else empty.
	LoadBalancer string
	// Off says why the slot cannot be used although it is there, for people: HTTPS is switched
	// off for a domain, a listener speaks no TLS. Place refuses it.
	Off string
	// Configures is, of an object of the cluster, what is configured from it: its product, and its region
	// as far as that is known. Else it is the zero value.
	Configures Target
	// Revision tells one version of an object of the cluster from another; else empty.
	Revision string

	// Kept is what an adapter read and needs for a write; nobody else looks at it.
	Kept any
}

// In returns the entries in the slot of a target: at most one, but for additional slots,
// which return all additional entries.
func (s State) In(t Target) []Entry {
	var in []Entry
	for _, e := range s.Entries {
		if e.in(t) {
			in = append(in, e)
		}
	}
	return in
}

func (e Entry) in(t Target) bool {
	if t.Slot == SlotAdditional {
		return e.Role == RoleAdditional
	}
	return e.Role == RoleDefault && e.Domain == t.Domain
}

// Holds reports whether the slot serves the certificate, or has begun to take it in.
func (s State) Holds(t Target, c Certificate) (serves, arriving bool) {
	for _, e := range s.In(t) {
		if e.CertID == c.CertID && e.Region == c.Region {
			serves = serves || e.Status == StatusServing
			arriving = arriving || e.Status == StatusArriving
		}
	}
	return serves, arriving
}

// Entry is one certificate of a resource.
type Entry struct {
	// CertIdentifier is the full identifier, as the product shows it or as it follows from
	// number and region; empty where the certificate is not one of CAS (an upload of the
	// product's own, a free one). Such a certificate is always foreign.
	CertIdentifier string
	// CertID and Region are those of CAS; 0 and empty where CertIdentifier is.
	CertID int64
	Region string
	// ProviderID is the product's own id of the certificate (CLB, ESA), or what it is called
	// by where it is not one of CAS; for people and for status.providerCertificateId.
	ProviderID string
	// Name is the certificate's name in CAS, where a product shows it of its copies (CLB).
	Name string
	// Imported reports whether a copy was imported by this operator, or by one like it: it carries
	// a name that nobody else gives (T48).
	Imported bool
	// Domain is set for what serves one domain.
	Domain string
	Role   Role
	Status Status
}

// Role is what a certificate is in its resource.
type Role string

const (
	// RoleDefault is the listener's default, or the only certificate of a domain.
	RoleDefault Role = "Default"
	// RoleAdditional is one of those from which SNI chooses.
	RoleAdditional Role = "Additional"
	// RoleStored is a copy in a store of the product, in no slot of this resource. Others may
	// use it.
	RoleStored Role = "Stored"
)

// Status is how far a certificate has come.
type Status string

const (
	// StatusServing is the end of a placement: Associated.
	StatusServing Status = "Serving"
	// StatusArriving is Associating.
	StatusArriving Status = "Arriving"
	// StatusLeaving is Dissociating.
	StatusLeaving Status = "Leaving"
	// StatusUnknown is a word that nobody knows: neither served nor certainly not.
	StatusUnknown Status = "Unknown"
)

// newEntry returns an entry for an identifier as a product shows it.
func newEntry(identifier string, role Role, status Status) Entry {
	e := Entry{Role: role, Status: status}
	certID, region, ok := ParseIdentifier(identifier)
	if !ok {
		e.ProviderID = identifier
		return e
	}
	e.CertIdentifier, e.CertID, e.Region = identifier, certID, region
	return e
}

// Owner says who else manages a resource. The zero value is nobody.
type Owner struct {
	// Manager is the tool, for people: "the ALB Ingress controller"; empty for nobody.
	Manager string
	// Detail is what shows it: the tag with its value.
	Detail string
}
