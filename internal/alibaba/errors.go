// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Class says what kind of failure an error is, and so who can mend it.
type Class int

const (
	// Transient failures pass by themselves: the network, a server error, an
	// unreadable answer, and every code that we do not know. The published list
	// of codes is incomplete, so an unknown one is never a verdict.
	Transient Class = iota
	// Throttled means that the account is at its limit, or that our own limiter
	// has no place within reach.
	Throttled
	// NameTaken means that a certificate of this name exists in the account.
	NameTaken
	// NotFound means that the certificate does not exist, or not any more.
	NotFound
	// Refused means that the cloud does not take the content of the request.
	Refused
	// Denied means that a RAM permission is missing, or that something else forbids the
	// call: every answer of status 403 whose code says nothing better.
	Denied
	// Quota means that the account may not hold more certificates.
	Quota
	// Unauthenticated means that there are no credentials, or that the cloud does
	// not take them.
	Unauthenticated
	// DeleteProtected means that the cloud protects the certificate from being
	// deleted.
	DeleteProtected
	// Busy means that what the call would change is being changed already, and takes no other
	// change until that is done.
	Busy
)

// String returns the name of the class, fit for a metric's label.
func (c Class) String() string {
	switch c {
	case Throttled:
		return "throttled"
	case NameTaken:
		return "name_taken"
	case NotFound:
		return "not_found"
	case Refused:
		return "refused"
	case Denied:
		return "denied"
	case Quota:
		return "quota"
	case Unauthenticated:
		return "unauthenticated"
	case DeleteProtected:
		return "delete_protected"
	case Busy:
		return "busy"
	case Transient:
	}
	return "transient"
}

// Error is the failure of one call. It never carries a secret: neither in its
// fields nor in what it wraps.
type Error struct {
	// Action is the call that failed.
	Action Action
	// Code is the cloud's error code; empty where no readable answer came.
	Code string
	// EC is the finer code that OSS gives besides; empty elsewhere.
	EC string
	// Message is the cloud's message, cleaned and at most 400 bytes long, or what
	// we say where there is none. It is the same for the same failure.
	Message string
	// RequestID is the cloud's id of the request, for its support. Error leaves
	// it out, so that the text of one failure is the same on every retry.
	RequestID string
	// UnknownCode reports whether nothing is known of Code; the class is a guess.
	UnknownCode bool
	// HTTPStatus is 0 where no answer came.
	HTTPStatus int
	// Class says what kind of failure this is.
	Class Class
	// Problem is what is wrong around the operator; empty where nothing is known.
	Problem Problem
	// RetryAfter is how long to wait before the call is worth repeating; 0 where
	// nothing is known.
	RetryAfter time.Duration
	// Permission is the missing RAM action; set for Denied only, where the answer is the
	// cloud's.
	Permission string
	// Denial says who was denied the call, as far as the cloud said it.
	Denial Denial
	// Role is what credentials were asked for; set for AssumeRoleWithOIDC alone.
	Role Role
	// Account and Region are those of the call, as far as they are known.
	Account, Region string
	// MayHaveHappened is true where the cloud may have carried out the request
	// although it was not said to have succeeded.
	MayHaveHappened bool

	// Cause is what the failure comes from: a transport or context error, mostly.
	Cause error `json:"-"`
}

// Error returns the action, the summary and the cause. A cause may name
// addresses and ports, which differ on every try.
func (e *Error) Error() string {
	text := string(e.Action) + ": " + e.Summary()
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Summary returns code, message and missing permission: a text for a status or
// an event, the same on every try of the same failure.
func (e *Error) Summary() string { return e.summary(e.Code, e.Message) }

// Brief is Summary without the cloud's message, which may name anything that was in the call.
func (e *Error) Brief() string { return e.summary(e.Code) }

func (e *Error) summary(parts ...string) string {
	text := strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
	if e.Permission != "" {
		text += " (" + e.Denial.lacks(e.Permission) + ")"
	}
	if text == "" {
		return "failed"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// ClassOf returns the class of the first *Error in err's chain. Anything else
// is Transient, nil too.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Transient
}

func isClass(err error, class Class) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Class == class
}

// IsThrottled reports whether err is of class Throttled.
func IsThrottled(err error) bool { return isClass(err, Throttled) }

// IsNameTaken reports whether err is of class NameTaken.
func IsNameTaken(err error) bool { return isClass(err, NameTaken) }

// IsNotFound reports whether err is of class NotFound.
func IsNotFound(err error) bool { return isClass(err, NotFound) }

// IsRefused reports whether err is of class Refused.
func IsRefused(err error) bool { return isClass(err, Refused) }

// IsDenied reports whether err is of class Denied.
func IsDenied(err error) bool { return isClass(err, Denied) }

// IsUnauthenticated reports whether err is of class Unauthenticated.
func IsUnauthenticated(err error) bool { return isClass(err, Unauthenticated) }

// IsOfCredential reports whether err is about the credential alone, so that the same call may
// succeed with another one of the account.
func IsOfCredential(err error) bool { return IsDenied(err) || IsUnauthenticated(err) }

// RetryAfter returns how long to wait before the failed call is worth
// repeating, and whether err says so.
func RetryAfter(err error) (time.Duration, bool) {
	if e, ok := errors.AsType[*Error](err); ok && e.RetryAfter > 0 {
		return e.RetryAfter, true
	}
	return 0, false
}

// MayHaveHappened reports whether the call may have been carried out although
// it returned err.
func MayHaveHappened(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.MayHaveHappened
}

// ConcernsOne reports whether a call failed for a reason that need not hold for the next call of
// its kind: the cloud answered, and neither to slow down nor that it does not take the
// credentials.
func ConcernsOne(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.HTTPStatus != 0 && e.Class != Throttled && e.Class != Unauthenticated
}

// IsUnanswered reports whether a call was sent, or tried to be, and nothing came back.
func IsUnanswered(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.HTTPStatus == 0 && e.Class == Transient
}

// classes maps the codes that any product may answer (F39 to F48). The HTTP status says
// little: the cloud answers 400 to most failures, also to NotFound and InternalError.
var classes = Codes{
	"FlowControlError": Throttled,

	"Forbidden.RAM":       Denied,
	"NoPermission":        Denied,
	"PermissionDenied":    Denied,
	"AccessDenied.NoAuth": Denied,

	"MissingSecurityToken":  Unauthenticated,
	"SignatureDoesNotMatch": Unauthenticated,
	"IncompleteSignature":   Unauthenticated,

	codeClock:            Transient,
	codeClockOfOSS:       Transient,
	"SignatureNonceUsed": Transient,
	"ServiceUnavailable": Transient,
	"InternalError":      Transient,
	codeUpgrading:        Transient,
}

// families maps codes by what stands before their first dot, where there are more of a
// kind than are documented: the family's own name is one of them.
var families = Codes{
	"Throttling":           Throttled,
	"NotFound":             NotFound,
	"InvalidParameter":     Refused,
	"MissingParameter":     Refused,
	"InvalidAccessKeyId":   Unauthenticated,
	"InvalidSecurityToken": Unauthenticated,
	"AuthenticationFail":   Unauthenticated,
}

const (
	// codeClock says that the time stamp of a request is more than 15 minutes off (F47).
	codeClock = "InvalidTimeStamp.Expired"
	// codeClockOfOSS is what OSS calls that.
	codeClockOfOSS = "RequestTimeTooSkewed"
	// codeUpgrading says that nothing can be done for now (F48).
	codeUpgrading = "OperationDenied.SystemUpgrading"
)

// isClock reports whether a code is about the time stamp of a request.
func isClock(code string) bool { return code == codeClock || code == codeClockOfOSS }

// classOfCode returns the class of a code, if it is known: of the product's own, or of any.
func classOfCode(code string, own Codes) (class Class, known bool) {
	if class, known = own.find(code); known {
		return class, true
	}
	if class, known = classes[code]; known {
		return class, true
	}
	family, _, _ := strings.Cut(code, ".")
	class, known = families[family]
	return class, known
}

// classify returns the class of an answer that is no success, and whether it is
// certain: else it is a guess, of a code that is not known.
func classify(status int, code string, own Codes) (class Class, certain bool) {
	if class, known := classOfCode(code, own); known {
		return class, true
	}
	switch status {
	case http.StatusForbidden:
		return Denied, true // whatever the policy that forbids it is called
	case http.StatusTooManyRequests:
		return Throttled, false // a gateway in front of the cloud may throttle without a code of its own
	}
	return Transient, false
}

// mayHaveHappened reports whether an answer that is no success leaves open that
// the request was carried out. Only what we know to be a refusal, or a 429, rules it
// out.
func mayHaveHappened(status int, code string, own Codes) bool {
	switch code {
	case codeUpgrading, codeClock, codeClockOfOSS:
		return false
	}
	class, certain := classify(status, code, own)
	if certain {
		return class == Transient
	}
	return status != http.StatusTooManyRequests
}

// newAnswerError makes the error of an answer that is no success. Message and
// code must be clean.
func newAnswerError(call Call, status int, code, message, requestID string) *Error {
	class, certain := classify(status, code, call.Codes)
	e := &Error{
		UnknownCode:     code != "" && !certain,
		Action:          call.Action,
		Code:            code,
		Message:         message,
		RequestID:       requestID,
		HTTPStatus:      status,
		Class:           class,
		MayHaveHappened: mayHaveHappened(status, code, call.Codes),
	}
	if code == "" {
		e.Message = call.strange(cmp.Or(message, fmt.Sprintf("unreadable answer with HTTP status %d", status)), requestID)
	}
	if class == Denied && code != "" {
		e.Permission = call.Permission
	}
	return e
}

// GivenUp is the error of a call that was given up before it was sent.
func GivenUp(ctx context.Context, action Action) *Error {
	return &Error{Action: action, Message: "given up before anything was sent", Cause: context.Cause(ctx)}
}
