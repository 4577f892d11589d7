// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of listeners of ALB and NLB. They differ in the one that removes.
const (
	listenerRead     alibaba.Action = "GetListenerAttribute"
	listenerList     alibaba.Action = "ListListenerCertificates"
	listenerBalancer alibaba.Action = "GetLoadBalancerAttribute"
	listenerDefault  alibaba.Action = "UpdateListenerAttribute"
	listenerAdd      alibaba.Action = "AssociateAdditionalCertificatesWithListener"
	albRemove        alibaba.Action = "DissociateAdditionalCertificatesFromListener"
	nlbRemove        alibaba.Action = "DisassociateAdditionalCertificatesWithListener"
)

const (
	// maxPages ends a list whose token of the next page never ends.
	maxPages = 10
	// maxPerCall is how many certificates one call puts on or takes off (T9).
	maxPerCall = 15
)

// dialect is in what the listeners of products differ.
type dialect struct {
	// protocols are those that have certificates.
	protocols []string
	// ofType is the parameter that asks for certificates of servers, and pageSize the largest
	// page (T12).
	ofType   string
	pageSize int
	remove   alibaba.Action
	// defaults and additional are the parameters of the nth certificate.
	defaults, additional func(n int) string
}

var albDialect = dialect{
	protocols: []string{"HTTPS", "QUIC"}, ofType: "CertificateType", pageSize: 100, remove: albRemove,
	defaults: albCertificate, additional: albCertificate,
}

var nlbDialect = dialect{
	protocols: []string{"TCPSSL"}, ofType: "CertType", pageSize: 50, remove: nlbRemove,
	defaults:   func(n int) string { return "CertificateIds." + strconv.Itoa(n) },
	additional: func(n int) string { return "AdditionalCertificateIds." + strconv.Itoa(n) },
}

// outcome is what answers of NLB say besides: a refusal may come with the status of a success
// (T23).
type outcome struct{ Success alibaba.Text }

func (o outcome) check() error {
	if strings.EqualFold(string(o.Success), "false") {
		return errors.New("the answer says that the call did not succeed")
	}
	return nil
}

func albCertificate(n int) string { return "Certificates." + strconv.Itoa(n) + ".CertificateId" }

// listeners is the adapter of listeners of ALB.
type listeners struct {
	*session
	dialect
}

type listenerAnswer struct {
	outcome
	ListenerStatus, ListenerProtocol alibaba.Text
	LoadBalancerID                   alibaba.Text `json:"LoadBalancerId"`
	Certificates                     []struct {
		CertificateID alibaba.Text `json:"CertificateId"`
	}
	CertificateIDs        []alibaba.Text `json:"CertificateIds"` // as NLB has it
	ServiceManagedEnabled bool
	ServiceManagedMode    alibaba.Text
}

// Validate refuses an answer that says nothing of a listener.
func (a *listenerAnswer) Validate() error {
	if a.ListenerStatus == "" || a.LoadBalancerID == "" {
		return errors.Join(a.check(), errNo("ListenerStatus and LoadBalancerId"))
	}
	return a.check()
}

// defaultID is the default certificate; empty for none.
func (a *listenerAnswer) defaultID() string {
	switch {
	case len(a.Certificates) > 0:
		return string(a.Certificates[0].CertificateID)
	case len(a.CertificateIDs) > 0:
		return string(a.CertificateIDs[0])
	}
	return ""
}

func errNo(fields string) error { return fmt.Errorf("the answer carries no %s", fields) }

type listenerCertificates struct {
	outcome
	Certificates []listenerCertificate
	TotalCount   *alibaba.Text
	NextToken    alibaba.Text
}

// statusGone is that of a certificate which a list still shows although it is off.
const statusGone Status = "Gone"

type listenerCertificate struct {
	CertificateID alibaba.Text `json:"CertificateId"`
	Status        alibaba.Text
	IsDefault     bool
}

// Validate refuses an answer without a total: an empty list must be told from none.
func (a *listenerCertificates) Validate() error {
	if a.TotalCount == nil {
		return errors.Join(a.check(), errNo("TotalCount"))
	}
	if n, err := strconv.Atoi(string(*a.TotalCount)); err != nil || n < 0 {
		return errNo("TotalCount that is a count")
	}
	return a.check()
}

// Read implements Adapter.
func (a *listeners) Read(ctx context.Context, t Target) (State, error) {
	listener, err := call[listenerAnswer](ctx, a.session, t, listenerRead, false, map[string]string{"ListenerId": t.Resource})
	if err != nil {
		return State{}, err
	}
	s := State{
		Status: string(listener.ListenerStatus), Busy: listener.ListenerStatus != "Running" && listener.ListenerStatus != "Stopped",
		LoadBalancer: string(listener.LoadBalancerID),
	}
	if !slices.Contains(a.protocols, string(listener.ListenerProtocol)) {
		s.Off = fmt.Sprintf("listener %s speaks %s, which has no certificates: use one that speaks %s",
			t.Resource, listener.ListenerProtocol, strings.Join(a.protocols, " or "))
		return s, nil
	}
	if listener.ServiceManagedEnabled && listener.ServiceManagedMode == "Managed" {
		s.Kept = managedByService()
	}
	standard := listener.defaultID()
	if standard != "" {
		s.Entries = append(s.Entries, newEntry(standard, RoleDefault, StatusServing))
	}
	listed, total, failure := listAll(func(next string) (*listenerCertificates, *Error) {
		return call[listenerCertificates](ctx, a.session, t, listenerList, true, map[string]string{
			"ListenerId": t.Resource, a.ofType: "Server", "MaxResults": strconv.Itoa(a.pageSize), "NextToken": next,
		})
	})
	if failure != nil {
		return State{}, failure
	}
	s.addListed(standard, listed, total)
	return s, nil
}

// listAll reads every page of a listener's certificates, and returns them with their total, -1 where
// the pages do not end.
func listAll(page func(next string) (*listenerCertificates, *Error)) (all []listenerCertificate, total int, failure *Error) {
	next := ""
	for range maxPages {
		answer, failure := page(next)
		if failure != nil {
			return nil, 0, failure
		}
		all = append(all, answer.Certificates...)
		total = int(answer.TotalCount.Int64())
		if next = string(answer.NextToken); next == "" {
			return all, total, nil
		}
	}
	return all, -1, nil
}

// addListed adds the additional certificates of a list, and says where it cannot be all of
// them: pages may slip while the listener is changed, and whether the default is counted is not
// known (T12).
func (s *State) addListed(standard string, listed []listenerCertificate, total int) {
	additional, defaults, gone := 0, 0, 0
	for _, c := range listed {
		id := string(c.CertificateID)
		if c.IsDefault {
			defaults++
			if id != standard {
				s.Incomplete = "the list of the listener's certificates lags behind its default"
			}
			continue
		}
		if listenerStatus(c.Status) == statusGone {
			gone++
			continue
		}
		additional++
		if slices.ContainsFunc(s.Entries, func(e Entry) bool { return e.Role == RoleAdditional && e.is(id) }) {
			s.Incomplete = "the list of the listener's certificates has one of them twice"
			continue
		}
		s.Entries = append(s.Entries, newEntry(id, RoleAdditional, listenerStatus(c.Status)))
	}
	if total < 0 {
		s.Incomplete = "the list of the listener's certificates does not end"
		return
	}
	if shown := additional + gone; total != shown+defaults && total != shown {
		s.Incomplete = fmt.Sprintf("the list of the listener's certificates shows %d of %d", shown+defaults, total)
	}
}

// is reports whether a product shows the entry under this identifier.
func (e Entry) is(identifier string) bool {
	return e.CertIdentifier == identifier || e.ProviderID == identifier
}

// listenerStatus reads the status of an additional certificate. The cloud's word for one on its
// way out is misspelt on its pages (T9).
func listenerStatus(word alibaba.Text) Status {
	switch word {
	case "Associated":
		return StatusServing
	case "Associating":
		return StatusArriving
	case "Dissociating", "Diassociating", "Disassociating":
		return StatusLeaving
	case "Dissociated", "Diassociated", "Disassociated":
		return statusGone
	}
	return StatusUnknown
}

type balancer struct {
	outcome
	LoadBalancerID alibaba.Text `json:"LoadBalancerId"`
	Tags           []struct{ Key, Value alibaba.Text }
}

// Validate refuses an answer that says nothing of a load balancer: without tags it would be
// nobody's.
func (a *balancer) Validate() error {
	if a.LoadBalancerID == "" {
		return errors.Join(a.check(), errNo("LoadBalancerId"))
	}
	return a.check()
}

// Owner implements Adapter.
func (a *listeners) Owner(ctx context.Context, t Target, s State) (Owner, error) {
	if owner, ok := s.Kept.(Owner); ok {
		return owner, nil
	}
	answer, err := call[balancer](ctx, a.session, t, listenerBalancer, false, map[string]string{"LoadBalancerId": s.LoadBalancer})
	if err != nil {
		return Owner{}, err
	}
	tags := map[string]string{}
	for _, tag := range answer.Tags {
		tags[string(tag.Key)] = string(tag.Value)
	}
	return ownerOf(tags), nil
}

// managedByService is the owner of what another product of the cloud made (T18).
func managedByService() Owner {
	return Owner{Manager: "another service of Alibaba Cloud", Detail: "ServiceManagedMode is Managed"}
}

// ownerOf tells from the tags of a load balancer who manages it (T18).
func ownerOf(tags map[string]string) Owner {
	for _, known := range []struct{ tag, manager string }{
		{"ingress.k8s.alibaba/albconfig", "the ALB Ingress controller"},
		{"ingress.k8s.alibaba/resource", "the ALB Ingress controller"},
		{"kubernetes.do.not.delete", "the cloud controller manager"},
		{"ack.aliyun.com", "the cloud controller manager or the ALB Ingress controller"},
	} {
		if value, ok := tags[known.tag]; ok {
			return Owner{Manager: known.manager, Detail: known.tag + "=" + value}
		}
	}
	return Owner{}
}

// accepted is an answer that says no more than that.
type accepted struct {
	outcome
	RequestID alibaba.Text `json:"RequestId"`
}

// Validate refuses the empty answer: a change that is reported must have been accepted.
func (a *accepted) Validate() error {
	if a.RequestID == "" {
		return errNo("RequestId")
	}
	return a.check()
}

// Place implements Adapter.
func (a *listeners) Place(ctx context.Context, t Target, s State, p Placement) error {
	action, parameter := listenerAdd, a.additional(1)
	if t.Slot == SlotDefault {
		action, parameter = listenerDefault, a.defaults(1)
	}
	send, err := s.prepareListener(t, p.Certificate)
	if !send {
		return asError(err)
	}
	id := p.Certificate.Identifier()
	_, err = call[accepted](ctx, a.session, t, action, false, map[string]string{
		"ListenerId": t.Resource, parameter: id,
		"ClientToken": clientToken(p.Seed, string(action), t.Resource, id),
	})
	return asError(a.alreadyPlaced(s.full(err, t), t, s, p.Certificate))
}

// full says of a refusal for want of room how many additional certificates were read at the listener.
// Those of its load balancer's other listeners, which count as well (T14), are not read.
func (s State) full(err *Error, t Target) *Error {
	return err.full(fmt.Sprintf("listener %s of load balancer %s", t.Resource, s.LoadBalancer), s.additional(), "additional certificate")
}

// PlaceAll implements Several. That the product has one of them already says nothing of the others:
// the next read shows what is missing.
func (a *listeners) PlaceAll(ctx context.Context, t Target, s State, all []Placement) error {
	params := map[string]string{"ListenerId": t.Resource}
	var seeds, ids []string
	for _, p := range all {
		send, err := s.prepareListener(t, p.Certificate)
		if err != nil {
			return err
		}
		if !send {
			continue
		}
		ids, seeds = append(ids, p.Certificate.Identifier()), append(seeds, p.Seed)
		params[a.additional(len(ids))] = p.Certificate.Identifier()
	}
	if len(ids) == 0 {
		return nil
	}
	params["ClientToken"] = clientToken(strings.Join(seeds, " "), append([]string{string(listenerAdd), t.Resource}, ids...)...)
	_, err := call[accepted](ctx, a.session, t, listenerAdd, false, params)
	if err != nil && is(err, a.product.already) {
		err.Class, err.RetryAfter = Progressing, progressHint
	}
	return asError(s.full(err, t))
}

// prepareListener is prepare for a listener, which also refuses what would come to nothing there.
func (s State) prepareListener(t Target, c Certificate) (send bool, failure *Error) {
	if _, arriving := s.Holds(t, c); arriving {
		return false, nil
	}
	if send, failure := s.prepare(t, c); !send || t.Slot != SlotAdditional {
		return send, failure
	}
	for _, e := range s.Entries {
		if e.Role == RoleDefault && e.CertIdentifier == c.Identifier() {
			return false, &Error{Class: Refused, Message: fmt.Sprintf(
				"%s is the default certificate of listener %s already, and cannot be an additional one besides: bind the slot Default, or another default", c.Identifier(), t.Resource)}
		}
	}
	return true, nil
}

// alreadyPlaced takes the word of a product that there is nothing to do for a success: the next
// read shows whether it is true. It is none where an additional certificate was to become the
// default (T13).
func (s *session) alreadyPlaced(err *Error, t Target, state State, c Certificate) *Error {
	if err == nil || !is(err, s.product.already) {
		return err
	}
	if t.Slot == SlotDefault && slices.ContainsFunc(state.Entries, func(e Entry) bool {
		return e.Role == RoleAdditional && e.CertIdentifier == c.Identifier()
	}) {
		err.Message = fmt.Sprintf("%s is an additional certificate of listener %s, and cannot become its default: take it off the additional ones, or bind the slot Additional",
			c.Identifier(), t.Resource)
		return err
	}
	return nil
}

// Remove implements Adapter. Of more than 15 certificates the rest is for the next time.
func (a *listeners) Remove(ctx context.Context, t Target, s State, r Removal) error {
	entries, err := mayRemove(t, s, r)
	entries = removable(entries)
	if err != nil || len(entries) == 0 {
		return asError(err)
	}
	params := map[string]string{"ListenerId": t.Resource, "ClientToken": clientToken(r.Seed, string(a.remove), t.Resource, identifiers(entries))}
	for n, e := range entries {
		params[a.additional(n+1)] = e.CertIdentifier
	}
	_, err = call[accepted](ctx, a.session, t, a.remove, false, params)
	if err != nil && is(err, a.product.gone) {
		return nil
	}
	return asError(err)
}

// removable returns the first certificates of a listener that one call can take off: those that
// are on their way out already are left alone.
func removable(entries []Entry) []Entry {
	entries = slices.DeleteFunc(entries, func(e Entry) bool {
		return e.Role != RoleAdditional || e.Status == StatusLeaving || e.CertIdentifier == ""
	})
	return entries[:min(len(entries), maxPerCall)]
}

// asError keeps a nil *Error from becoming an error that is not nil.
func asError(err *Error) error {
	if err == nil {
		return nil
	}
	return err
}
