// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"errors"
	"fmt"
	"time"
)

// Class says what kind of failure an error is, and so who can mend it.
type Class int

const (
	// Transient failures pass by themselves: the network, a server error, and every code that
	// nobody knows.
	Transient Class = iota
	// Progressing means that the resource is being changed and takes no other change until
	// then. It is no failure. RetryAfter is set.
	Progressing
	// Throttled means that the account is at its limit, or that our own limiter has no place
	// within reach. RetryAfter is set.
	Throttled
	// TargetNotFound means that the listener, the domain or what it belongs to does not exist
	// for these credentials.
	TargetNotFound
	// CertificateNotFound means that the product does not find the certificate in CAS: it was
	// deleted, or is of the other region.
	CertificateNotFound
	// Refused means that the product does not take the request as it is: a person has to
	// change the target, the certificate or the spec.
	Refused
	// Denied means that a RAM permission is missing. Permission is set where the cloud said so.
	Denied
	// QuotaExceeded means that the resource holds as many certificates as it may. Limit is set
	// where it is known.
	QuotaExceeded
	// Unauthenticated means that there are no credentials, or that the cloud does not take
	// them.
	Unauthenticated
	// InUse means that a stored certificate cannot be removed: something else uses it.
	InUse
)

// Classes returns all classes.
func Classes() []Class {
	return []Class{
		Transient, Progressing, Throttled, TargetNotFound, CertificateNotFound, Refused, Denied, QuotaExceeded, Unauthenticated, InUse,
	}
}

// String returns the name of the class, fit for a metric's label.
func (c Class) String() string {
	switch c {
	case Progressing:
		return "progressing"
	case Throttled:
		return "throttled"
	case TargetNotFound:
		return "target_not_found"
	case CertificateNotFound:
		return "certificate_not_found"
	case Refused:
		return "refused"
	case Denied:
		return "denied"
	case QuotaExceeded:
		return "quota"
	case Unauthenticated:
		return "unauthenticated"
	case InUse:
		return "in_use"
	case Transient:
	}
	return "transient"
}

// Error is the failure of an adapter. It never carries a secret.
type Error struct {
	Class Class
	// Message says what is wrong and what to do, for people. It is the same for the same
	// failure.
	Message string
	// RetryAfter is how long to wait before another attempt is worth it; 0 where nothing is
	// known.
	RetryAfter time.Duration
	// Limit is the number of certificates that the resource may hold, as documented; set for
	// QuotaExceeded alone, and 0 where it is not known. It may have been raised for an account.
	Limit int
	// Permission is the missing RAM action; set for Denied alone.
	Permission string
	// Cause is what the failure comes from: of a call of the cloud, its *alibaba.Error, with
	// code and request id.
	Cause error `json:"-"`

	// brief is Message without the cloud's own words; empty where no call was sent.
	brief string
}

// Error returns the message. The cause is a part of it already.
func (e *Error) Error() string { return e.Message }

// Brief is the message for those who share a call: without what the cloud, or we, say of a single certificate
// of it. It is empty where nothing is left.
func (e *Error) Brief() string { return e.brief }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// full says of a refusal for want of room what has none, and how many things of a kind were read there.
// Any other failure it leaves as it is, and nil as well.
func (e *Error) full(what string, used int, kind string) *Error {
	if e != nil && e.Class == QuotaExceeded {
		if used != 1 {
			kind += "s"
		}
		for _, text := range []*string{&e.Message, &e.brief} {
			*text = fmt.Sprintf("%s has %d %s and no room for more: %s", what, used, kind, *text)
		}
	}
	return e
}

// ClassOf returns the class of the first *Error in err's chain. Anything else is Transient.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Transient
}
