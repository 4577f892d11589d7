// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import "time"

// Options describe the products. The zero value is one in which every change is done at once.
type Options struct {
	// Configuring is how long a listener, an accelerator or a domain of WAF takes to be
	// changed. Until then it serves what it served before, and refuses other changes.
	Configuring time.Duration
	// Edges is how long the edges of CDN, DCDN and VOD serve what they served before, although
	// the configuration shows what is new.
	Edges time.Duration
	// ReadLag is how long what is read lags behind what is so.
	ReadLag time.Duration
	// DomainLag is how long what is read of a domain of CDN, DCDN or VOD lags behind its configuration,
	// where that is longer than ReadLag.
	DomainLag time.Duration
	// AdditionalQuota is how many additional certificates all listeners of a load balancer may
	// have together; 0 stands for the documented number of its edition (T14).
	AdditionalQuota int

	Unknowns
}

// Unknowns are the questions that the interfaces leave open. The zero value holds the likelier
// or the harsher answers.
type Unknowns struct {
	// BareIDs makes ALB and NLB take a certificate by its number alone. By default such a
	// certificate is not found (T3).
	BareIDs bool
	// HongKongIsMainland makes the listeners of cn-hongkong take certificates of cn-hangzhou.
	// By default they take those of ap-southeast-1 (T4).
	HongKongIsMainland bool
	// DefaultNotCounted leaves the default certificate out of TotalCount, although the list
	// shows it. By default it is counted (T12).
	DefaultNotCounted bool
	// DefaultMovesAdditional lets an additional certificate become the default, and takes it
	// off the additional ones. By default that is ResourceAlreadyAssociated.Certificate (T13).
	DefaultMovesAdditional bool
	// CertNameNeeded makes CDN and DCDN refuse a certificate that is named by its number
	// without its name (T34).
	CertNameNeeded bool
	// SMListeners makes listeners take SM certificates, for which the cloud has a list of
	// accounts (T16).
	SMListeners bool
	// CLBImportsOnce makes a second import of the same certificate answer with the copy that is
	// there. By default it makes another (T41).
	CLBImportsOnce bool
	// NLBFailsWith200 makes NLB refuse with a status of 200 and Success=false (T23).
	NLBFailsWith200 bool
	// WAFKeepsTLS makes ModifyDomainCert leave settings of TLS that are not sent as they are. By
	// default they fall back (T52). WAFBareIDs makes DescribeDomainDetail name a certificate by
	// its number alone in Listen (T51).
	WAFKeepsTLS, WAFBareIDs bool
	// ESAWithoutRegion leaves the region of CAS out of ESA's list (T63).
	ESAWithoutRegion bool
	// FCKeepsTheRest makes UpdateCustomDomain leave what is not sent as it is. By default it falls
	// back (T102).
	FCKeepsTheRest bool
	// OSSStaleCode, if it is set, is the code with which OSS refuses, with status 409, a change that
	// rests on another certificate than the current one. By default it is InvalidArgument with 400
	// (T115).
	OSSStaleCode string
	// OSSFirstWithoutForce makes OSS take the first certificate of a domain without Force. By default
	// that is refused (T116).
	OSSFirstWithoutForce bool
	// TokenLife is how long a client token is remembered; 0 is for ever (T11).
	TokenLife time.Duration
	// InUseCode, if it is set, is the code with which CAS refuses to delete a certificate that
	// one of the products uses. By default it deletes it, and whoever used it serves it no
	// longer (F62).
	InUseCode string
}
