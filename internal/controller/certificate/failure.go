// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// failureOf is an error of a call, as far as decisions rest on it.
func failureOf(err error) *protocol.Failure {
	if err == nil {
		return nil
	}
	return &protocol.Failure{Err: err, Throttled: alibaba.IsThrottled(err), Denied: alibaba.IsDenied(err), Refusal: isRefusal(err)}
}

// plainError is an error whose text is the same on every try.
type plainError struct{ error }

func (e plainError) Error() string { return plainly(e.error) }

// Unwrap returns the error as it was.
func (e plainError) Unwrap() error { return e.error }

// isRefusal reports whether waiting may never help: the credentials are missing or not
// taken, or the cloud refuses.
func isRefusal(err error) bool {
	if remaining, ok := errors.AsType[*protocol.RemainingError](err); ok { // before what it wraps
		return !slices.ContainsFunc(remaining.Left, func(u protocol.Undeleted) bool { return !u.Refusal })
	}
	if refusal, ok := errors.AsType[*alibaba.Error](err); ok {
		answered := refusal.HTTPStatus >= 400 && refusal.HTTPStatus < 500
		return answered && refusal.Class != alibaba.Throttled || refusal.Class == alibaba.Unauthenticated
	}
	_, missing := errors.AsType[*credentialsError](err)
	return missing || protocol.IsLasting(err)
}

// plainly is the text of an error that is the same on every try.
func plainly(err error) string {
	if remaining, ok := errors.AsType[*protocol.RemainingError](err); ok {
		return remaining.Error()
	}
	if refusal, ok := errors.AsType[*alibaba.Error](err); ok {
		return fmt.Sprintf("%s: %s", refusal.Action, refusal.Summary())
	}
	return err.Error()
}

// concernsOne reports whether a deletion failed for a reason that need not hold for
// the next one: the cloud answered, and neither to slow down nor that it does not take
// the credentials.
func concernsOne(err error) bool {
	refusal, ok := errors.AsType[*alibaba.Error](err)
	return ok && refusal.HTTPStatus != 0 && refusal.Class != alibaba.Throttled && refusal.Class != alibaba.Unauthenticated
}

// mayPass reports whether a failure may be over soon, as one with an unknown code may:
// it is tried again within seconds first.
func mayPass(err error) bool {
	if remaining, ok := errors.AsType[*protocol.RemainingError](err); ok {
		return slices.ContainsFunc(remaining.Left, func(u protocol.Undeleted) bool { return mayPass(u.Err) })
	}
	if refusal, ok := errors.AsType[*alibaba.Error](err); ok {
		return refusal.Class == alibaba.Transient
	}
	return !isRefusal(err) && !protocol.IsLasting(err)
}

// firstRetry is the first delay of what may be over soon.
const firstRetry = 5 * time.Second

// retryDelay doubles with each failure in a row up to an hour: from seconds on for what
// may be over soon, from minutes on for what somebody has to mend.
func (r *Reconciler) retryDelay(err error, failures int) time.Duration {
	delay := slowRetry << min(failures, 4)
	if mayPass(err) {
		delay = firstRetry << min(failures, 10)
	}
	return r.Jitter(min(delay, slowRetryMax))
}
