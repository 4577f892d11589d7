// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"log/slog"
	"time"
)

// The regions of CAS. A certificate lives in one of the two, wherever it is used (F31).
const (
	// RegionChina is served by cas.aliyuncs.com.
	RegionChina = "cn-hangzhou"
	// RegionInternational is served by cas.ap-southeast-1.aliyuncs.com.
	RegionInternational = "ap-southeast-1"
)

// Regions are all regions in a fixed order.
var Regions = []string{RegionChina, RegionInternational}

// Options describe a cloud. The zero value is a cloud without accounts, without
// latency and with the documented limits.
type Options struct {
	// Accounts may name one ID several times: those are several keys of it.
	Accounts []Account

	// UploadLimit, ListLimit, DeleteLimit and DetailLimit bound the calls of one
	// account, region and action in any half-open second. 0 stands for 100, 10, 100 and
	// 100, which are the documented limits (F28); negative is none.
	UploadLimit, ListLimit, DeleteLimit, DetailLimit int

	// LatencyBefore passes before a call is authenticated, counted and
	// committed; LatencyAfter between that and the answer. A client that gives
	// up does not shorten them: a request on its way takes effect.
	LatencyBefore, LatencyAfter Latency
	// ListLag passes before an upload shows in lists.
	ListLag time.Duration

	// SameCertIDs makes both regions count their CertIds from the same number, so that
	// one CertId is a certificate at each. By default the ids of the regions are far
	// apart.
	SameCertIDs bool

	// Seed makes ids, latencies and faults by probability reproducible.
	Seed int64
	// Clock is the machine's when nil.
	Clock Clock
	// Log gets one line for each call, without secrets; nil is none.
	Log *slog.Logger
	// JournalSize is how many calls the journal keeps at least: the oldest go
	// first. 0 is 100,000, negative keeps all.
	JournalSize int

	Unknowns
}

// Unknowns are the questions that the interface leaves open, so that a client can
// be tried against each answer. The zero value holds the likelier or the harsher
// answers.
type Unknowns struct {
	// NamesSharedAcrossRegions makes a name unique in an account over both regions.
	// By default each region has its own names (F60).
	NamesSharedAcrossRegions bool
	// NamesCaseSensitive lets an account hold names that differ only in case. By
	// default they collide (F59).
	NamesCaseSensitive bool
	// NameHeldAfterDelete keeps the name of a deleted certificate taken for that long;
	// negative is for ever. By default it is free at once, as was recorded (F22).
	NameHeldAfterDelete time.Duration
	// CountThrottled makes throttled calls count against the limit too, so that
	// a client that does not slow down is never served. By default only calls
	// that were let through count (F75).
	CountThrottled bool
	// LimitsSharedAcrossRegions counts the calls of both regions together. By default each
	// region has limits of its own (F75).
	LimitsSharedAcrossRegions bool
	// AcceptPKCS8EC accepts elliptic-curve keys as PKCS#8, which is unconfirmed (F12).
	// By default they have to be SEC1, which is known to be accepted (F10).
	AcceptPKCS8EC bool
	// NoDigests leaves Sha2 and Fingerprint empty in every list. By default they are
	// always there (F61).
	NoDigests bool
	// KeywordWithoutWildcards lets a Keyword that holds * find nothing. By default it
	// finds the domains that it is a part of, like any other (F74).
	KeywordWithoutWildcards bool
	// ListOldestFirst lists the oldest certificates first. By default the newest come
	// first (F65).
	ListOldestFirst bool
	// RevokedUploads is the answer to a list of uploads with the status REVOKED,
	// which is documented for orders alone (F17). By default it is empty.
	RevokedUploads RevokedAnswer
	// RevokedUploadsCode is the error code of RevokedRefused, InvalidParameter when
	// empty.
	RevokedUploadsCode string
}

// RevokedAnswer is an answer to a list of revoked uploads.
type RevokedAnswer string

const (
	// RevokedEmpty shows no certificate.
	RevokedEmpty RevokedAnswer = ""
	// RevokedIgnored shows what a list without a status shows.
	RevokedIgnored RevokedAnswer = "ignored"
	// RevokedRefused is an error.
	RevokedRefused RevokedAnswer = "refused"
)

// Account is one access key of one account.
type Account struct {
	// ID is the account's id, decimal digits in the cloud.
	ID string
	// AccessKeyID and AccessKeySecret sign calls. If the id is empty there is no key:
	// only roles give access to the account.
	AccessKeyID     string
	AccessKeySecret Secret
	// Roles are the roles of the account that pods can assume (RRSA).
	Roles []Role
}

// Role is a RAM role that trusts an OIDC provider.
type Role struct {
	// RoleARN is acs:ram::<account>:role/<name>.
	RoleARN string
	// OIDCProviderARN is acs:ram::<account>:oidc-provider/<name>.
	OIDCProviderARN string
	// Token is the one OIDC token that is accepted. If it is empty, every token is.
	Token Secret
}

// Latency is a duration drawn evenly from Base ± Jitter, never negative.
type Latency struct{ Base, Jitter time.Duration }

// Clock is the time as the emulator sees it.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// Sleep returns after d, or with an error as soon as the context ends.
	Sleep(ctx context.Context, d time.Duration) error
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
