// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of CLB.
const (
	clbRead       alibaba.Action = "DescribeLoadBalancerHTTPSListenerAttribute"
	clbDomains    alibaba.Action = "DescribeDomainExtensions"
	clbStore      alibaba.Action = "DescribeServerCertificates"
	clbBalancer   alibaba.Action = "DescribeLoadBalancerAttribute"
	clbImport     alibaba.Action = "UploadServerCertificate"
	clbSet        alibaba.Action = "SetLoadBalancerHTTPSListenerAttribute"
	clbSetDomain  alibaba.Action = "SetDomainExtensionAttribute"
	clbMakeDomain alibaba.Action = "CreateDomainExtension"
	clbDelete     alibaba.Action = "DeleteServerCertificate"
)

// clb is the adapter of listeners of CLB. They serve copies out of a store that each region has
// of its own (T41).
type clb struct{ *session }

type clbListener struct {
	Status              alibaba.Text
	ServerCertificateID alibaba.Text `json:"ServerCertificateId"`
}

// Validate refuses an answer that says nothing of a listener.
func (a *clbListener) Validate() error {
	if a.Status == "" {
		return errNo("Status")
	}
	return nil
}

type clbExtensions struct {
	DomainExtensions *struct{ DomainExtension []clbExtension }
}

type clbExtension struct {
	DomainExtensionID   alibaba.Text `json:"DomainExtensionId"`
	Domain              alibaba.Text
	ServerCertificateID alibaba.Text `json:"ServerCertificateId"`
}

// Validate tells a listener without domains from no answer.
func (a *clbExtensions) Validate() error {
	if a.DomainExtensions == nil {
		return errNo("DomainExtensions")
	}
	return nil
}

type clbCertificates struct {
	ServerCertificates *struct{ ServerCertificate []clbCertificate }
}

// clbCertificate is a copy in the store.
type clbCertificate struct {
	ServerCertificateID     alibaba.Text `json:"ServerCertificateId"`
	ServerCertificateName   alibaba.Text
	AliCloudCertificateID   alibaba.Text `json:"AliCloudCertificateId"`
	AliCloudCertificateName alibaba.Text
	CreateTimeStamp         alibaba.Text
}

// Validate tells an empty store from no answer.
func (a *clbCertificates) Validate() error {
	if a.ServerCertificates == nil {
		return errNo("ServerCertificates")
	}
	return nil
}

// importPrefix begins the names of our imports, which end with the identifier of the
// certificate: the list says of which number a copy is, but not of which region of CAS (T48).
const importPrefix = "cas-"

// source returns the certificate of CAS that a copy is of. Of one that somebody else imported,
// the region is that which listeners of its region take (T4).
func (c clbCertificate) source(region string) (Certificate, bool) {
	id := c.AliCloudCertificateID.Int64()
	if id <= 0 {
		return Certificate{}, false
	}
	of := Certificate{CertID: id, Region: regionOfCAS(region), Name: string(c.AliCloudCertificateName)}
	named, _ := strings.CutPrefix(string(c.ServerCertificateName), importPrefix)
	if number, home, ok := ParseIdentifier(named); ok && number == id {
		of.Region = home
	}
	return of, true
}

// clbState is what Read keeps for Place.
type clbState struct {
	extensions []clbExtension
	store      []clbCertificate
}

// Read implements Adapter.
func (a *clb) Read(ctx context.Context, t Target) (State, error) {
	on := map[string]string{"LoadBalancerId": t.Resource, "ListenerPort": t.Part}
	listener, err := call[clbListener](ctx, a.session, t, clbRead, false, on)
	if err != nil {
		return State{}, err
	}
	domains, err := call[clbExtensions](ctx, a.session, t, clbDomains, true, on)
	if err != nil {
		return State{}, err
	}
	store, err := a.readStore(ctx, t, true)
	if err != nil {
		return State{}, err
	}
	s := State{
		Status: string(listener.Status), Busy: listener.Status == "configuring" || listener.Status == "starting", LoadBalancer: t.Resource,
		Kept: clbState{domains.DomainExtensions.DomainExtension, store},
	}
	served := map[alibaba.Text]bool{"": true}
	add := func(domain, id alibaba.Text) {
		served[id] = true
		if id != "" {
			s.Entries = append(s.Entries, clbEntry(t, store, id, string(domain), RoleDefault))
		}
	}
	add("", listener.ServerCertificateID)
	for _, e := range domains.DomainExtensions.DomainExtension {
		add(e.Domain, e.ServerCertificateID)
	}
	for _, c := range store {
		if _, ok := c.source(t.Region); ok && !served[c.ServerCertificateID] {
			s.Entries = append(s.Entries, clbEntry(t, store, c.ServerCertificateID, "", RoleStored))
		}
	}
	return s, nil
}

// readStore returns the store of the target's region. It has no pages (T41).
func (a *clb) readStore(ctx context.Context, t Target, begun bool) ([]clbCertificate, *Error) {
	answer, err := call[clbCertificates](ctx, a.session, t, clbStore, begun, nil)
	if err != nil {
		return nil, err
	}
	return answer.ServerCertificates.ServerCertificate, nil
}

// clbEntry returns the entry of a copy. One that the store does not have, or that is none of
// CAS, has no identifier.
func clbEntry(t Target, store []clbCertificate, id alibaba.Text, domain string, role Role) Entry {
	e := Entry{ProviderID: string(id), Domain: domain, Role: role, Status: StatusServing}
	at := slices.IndexFunc(store, func(c clbCertificate) bool { return c.ServerCertificateID == id })
	if at < 0 {
		return e
	}
	if of, ok := store[at].source(t.Region); ok {
		e.CertIdentifier, e.CertID, e.Region, e.Name = of.Identifier(), of.CertID, of.Region, of.Name
		e.Imported = string(store[at].ServerCertificateName) == importPrefix+of.Identifier()
	}
	return e
}

// Copies implements Store.
func (a *clb) Copies(ctx context.Context, t Target) (State, error) {
	store, err := a.readStore(ctx, t, false)
	if err != nil {
		return State{}, err
	}
	s := State{Kept: clbState{store: store}}
	for _, c := range store {
		if _, ok := c.source(t.Region); ok {
			s.Entries = append(s.Entries, clbEntry(t, store, c.ServerCertificateID, "", RoleStored))
		}
	}
	return s, nil
}

type clbBalancerAnswer struct {
	LoadBalancerID     alibaba.Text `json:"LoadBalancerId"`
	ServiceManagedMode alibaba.Text
	Tags               struct {
		Tag []struct{ TagKey, TagValue alibaba.Text }
	}
}

// Validate refuses an answer that says nothing of a load balancer.
func (a *clbBalancerAnswer) Validate() error {
	if a.LoadBalancerID == "" {
		return errNo("LoadBalancerId")
	}
	return nil
}

// Owner implements Adapter.
func (a *clb) Owner(ctx context.Context, t Target, _ State) (Owner, error) {
	answer, err := call[clbBalancerAnswer](ctx, a.session, t, clbBalancer, false, map[string]string{"LoadBalancerId": t.Resource})
	if err != nil {
		return Owner{}, err
	}
	if answer.ServiceManagedMode == "Managed" {
		return managedByService(), nil
	}
	tags := map[string]string{}
	for _, tag := range answer.Tags.Tag {
		tags[string(tag.TagKey)] = string(tag.TagValue)
	}
	return ownerOf(tags), nil
}

// Place implements Adapter. It imports the certificate if there is no copy of it, and then sets
// the copy: after a crash in between, the next read shows the copy.
func (a *clb) Place(ctx context.Context, t Target, s State, p Placement) error {
	if send, failure := s.prepare(t, p.Certificate); !send {
		return asError(failure)
	}
	kept, _ := s.Kept.(clbState)
	id := copyOf(kept.store, t.Region, p.Certificate)
	imported := id == ""
	if imported {
		var err *Error
		if id, err = a.importOne(ctx, t, kept, p.Certificate, false); err != nil {
			return err
		}
	}
	action, params := kept.change(t)
	params["ServerCertificateId"] = id
	_, err := call[accepted](ctx, a.session, t, action, imported, params)
	return asError(err)
}

// change returns the call that gives the target's slot a copy, but for the copy.
func (s clbState) change(t Target) (alibaba.Action, map[string]string) {
	on := map[string]string{"LoadBalancerId": t.Resource, "ListenerPort": t.Part}
	if t.Domain == "" {
		return clbSet, on
	}
	at := slices.IndexFunc(s.extensions, func(e clbExtension) bool { return string(e.Domain) == t.Domain })
	if at >= 0 {
		return clbSetDomain, map[string]string{"DomainExtensionId": string(s.extensions[at].DomainExtensionID)}
	}
	on["Domain"] = t.Domain
	return clbMakeDomain, on
}

// copyOf returns the oldest copy of a certificate in a store; empty for none.
func copyOf(store []clbCertificate, region string, c Certificate) string {
	oldest := clbCertificate{}
	for _, one := range store {
		of, ok := one.source(region)
		if !ok || of.CertID != c.CertID || of.Region != c.Region {
			continue
		}
		if oldest.ServerCertificateID == "" || one.compare(oldest) < 0 {
			oldest = one
		}
	}
	return string(oldest.ServerCertificateID)
}

func (c clbCertificate) compare(other clbCertificate) int {
	return cmp.Or(
		cmp.Compare(c.CreateTimeStamp.Int64(), other.CreateTimeStamp.Int64()),
		cmp.Compare(c.ServerCertificateID, other.ServerCertificateID),
	)
}

// Import implements Store.
func (a *clb) Import(ctx context.Context, t Target, s State, c Certificate) (string, error) {
	if _, err := (State{}).prepare(t, c); err != nil {
		return "", err
	}
	kept, _ := s.Kept.(clbState)
	if id := copyOf(kept.store, t.Region, c); id != "" {
		return id, nil
	}
	id, err := a.importOne(ctx, t, kept, c, true)
	return id, asError(err)
}

type clbImported struct {
	ServerCertificateID alibaba.Text `json:"ServerCertificateId"`
}

// Validate refuses an answer without the id of the copy.
func (a *clbImported) Validate() error {
	if a.ServerCertificateID == "" {
		return errNo("ServerCertificateId")
	}
	return nil
}

func (a *clb) importOne(ctx context.Context, t Target, kept clbState, c Certificate, begun bool) (string, *Error) {
	answer, err := call[clbImported](ctx, a.session, t, clbImport, begun, map[string]string{
		"AliCloudCertificateId": strconv.FormatInt(c.CertID, 10), "AliCloudCertificateName": c.Name, "AliCloudCertificateRegionId": c.Region,
		"ServerCertificateName": importPrefix + c.Identifier(),
	})
	if err == nil {
		return string(answer.ServerCertificateID), nil
	}
	if strings.Contains(err.Message, "AliCouldCertificateId") { // as the service writes it (T43)
		err.Class = CertificateNotFound
		err.Message = fmt.Sprintf("CLB does not find certificate %s named %q in CAS, which it says in other words: %s", c.Identifier(), c.Name, err.Message)
	}
	return "", err.full(fmt.Sprintf("the store of CLB in region %s", t.Region), len(kept.store), "certificate")
}

// MostDeleted is how many copies a removal deletes. More would hold a worker for a whole store, at a call
// a second.
const MostDeleted = 5

// Remove implements Adapter: copies that this listener does not serve are deleted. One that
// something else uses is left, and holds up no other: of more than a few, each time begins with
// others.
func (a *clb) Remove(ctx context.Context, t Target, s State, r Removal) error {
	entries, failure := mayRemove(t, s, r)
	if failure != nil {
		return failure
	}
	var inUse *Error
	entries = slices.DeleteFunc(entries, func(e Entry) bool { return e.Role != RoleStored })
	first := int(a.cloud.caller.Clock().Now().Unix()) // another one each second
	for n := range min(len(entries), MostDeleted) {
		e := entries[(first+n)%len(entries)]
		_, err := call[accepted](ctx, a.session, t, clbDelete, n > 0, map[string]string{"ServerCertificateId": e.ProviderID})
		switch {
		case err == nil || is(err, a.product.gone):
		case err.Class == InUse:
			inUse = err
		default:
			return err
		}
	}
	return asError(inUse)
}
