// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// The reasons of conditions that an answer of the cloud may lead to, whatever it was asked for.
const (
	ReasonThrottled              = "Throttled"
	ReasonAccessDenied           = "AccessDenied"
	ReasonQuotaExceeded          = "QuotaExceeded"
	ReasonCredentialsUnavailable = "CredentialsUnavailable"
)

// Patience is how long an object waits for a rate limit before its conditions say so.
const Patience = time.Minute

// Verdict is what a person is told of a call that the cloud did not grant. None of it is
// final: a renewal is never lost to a code that we did not know.
func (e *Error) Verdict(s verdict.Subject) verdict.Verdict {
	v := verdict.Verdict{Refusal: e.isRefusal(), Void: !e.MayHaveHappened, Again: verdict.Again{Pace: verdict.Slowly}}
	switch e.Class {
	case Throttled:
		return e.throttled(s)
	case Refused:
		v.Reason, v.Message = s.Refused, e.refusal(s)
	case Denied:
		v.Reason, v.Message = ReasonAccessDenied, e.denial(s)
	case Quota:
		v.Reason, v.Message = ReasonQuotaExceeded, e.excess(s)
	case Unauthenticated:
		v.Reason, v.Message = ReasonCredentialsUnavailable, e.rejection(s)
	case DeleteProtected:
		v.Reason, v.Message = s.Failed, e.Plain()
	default:
		return e.failed(s)
	}
	v.Message += "; it is tried again " + v.Again.Pace.String()
	return v
}

// isRefusal reports whether waiting may never help: the cloud answered that it does not grant
// the call, or there are no credentials for it.
func (e *Error) isRefusal() bool {
	answered := e.HTTPStatus >= http.StatusBadRequest && e.HTTPStatus < http.StatusInternalServerError
	return answered && e.Class != Throttled || e.Class == Unauthenticated
}

// Plain is the text that is the same on every try of the same failure.
func (e *Error) Plain() string { return fmt.Sprintf("%s: %s", e.Action, e.Summary()) }

// throttled waits for the limit's own hint, silently for the first minute.
func (e *Error) throttled(s verdict.Subject) verdict.Verdict {
	return verdict.Verdict{
		Ready:   s.WhileServed(),
		Reason:  ReasonThrottled,
		Message: fmt.Sprintf("waiting for the account's rate limit of %s since %s", e.Action, s.ThrottledSince.UTC().Format(time.RFC3339)),
		Void:    !e.MayHaveHappened,
		Quiet:   s.Now.Sub(s.ThrottledSince) < Patience,
		Again:   verdict.Again{Pace: verdict.In, After: max(e.RetryAfter, 10*time.Millisecond)},
	}
}

// failed is for what may pass by itself. Of a code that is not known nobody can say whether it
// passes within seconds, or never.
func (e *Error) failed(s verdict.Subject) verdict.Verdict {
	v := verdict.Verdict{
		Reason: s.Failed, Message: e.Plain(), Refusal: e.isRefusal(), Void: !e.MayHaveHappened,
		Again: verdict.Again{Pace: verdict.Retry},
	}
	if e.Code == "" && e.Message == "" {
		v.Message = fmt.Sprintf("%s: no usable answer from the cloud, and the operator's log has the cause", e.Action)
	}
	if e.UnknownCode {
		v.Again = verdict.Again{Pace: verdict.Soon}
	}
	v.Message += "; it is tried again " + v.Again.Pace.String()
	if e.RetryAfter > 0 && !e.UnknownCode { // one call probes for all who wait, and any pace is its own
		v.Again = verdict.Again{Pace: verdict.In, After: e.RetryAfter}
	}
	return v
}

// refusal says what the cloud does not take: the certificate, or what the spec adds to it.
func (e *Error) refusal(s verdict.Subject) string {
	if len(s.Extras) > 0 && strings.Contains(e.Code, "Parameter") {
		return fmt.Sprintf("the cloud refuses the upload of Secret %q: %s; check %s, or reissue the certificate",
			s.Secret, e.Summary(), strings.Join(s.Extras, " and "))
	}
	return fmt.Sprintf("the cloud refuses the content of Secret %q: %s; reissue the certificate, or contact Alibaba Cloud support with the request id in the operator's log", s.Secret, e.Summary())
}

// denial says which credentials lack the permission that the summary names, and how to give it.
func (e *Error) denial(s verdict.Subject) string {
	switch {
	case e.Permission == "":
		return e.Summary()
	case e.Denial.Explicit:
		return fmt.Sprintf("%s; take %s out of what that policy denies; the call was made with %s", e.Summary(), e.Permission, Whose(s.CredentialsSecret))
	}
	return fmt.Sprintf("%s; grant %s on resource * by a RAM policy; the call was made with %s", e.Summary(), e.Permission, Whose(s.CredentialsSecret))
}

// Whose names the credentials of a Secret; the operator's own, if there is none.
func Whose(secret string) string {
	if secret != "" {
		return fmt.Sprintf("the credentials of Secret %q", secret)
	}
	return "the operator's own credentials"
}

// excess says which account holds too much, and how much of it is ours to delete.
func (e *Error) excess(s verdict.Subject) string {
	place := "the account"
	if e.Account != "" {
		place = fmt.Sprintf("account %q", e.Account)
	}
	if e.Region != "" {
		place += ", region " + e.Region
	}
	text := place + " may not hold more certificates: " + e.Summary() + "; delete some that are not needed, or have the quota raised"
	if s.Superseded > 0 {
		text += fmt.Sprintf("; %d are superseded versions of this operator, which spec.revisionHistoryLimit of their objects lets it delete", s.Superseded)
	}
	return text
}

// rejection says which credentials the cloud does not take.
func (e *Error) rejection(s verdict.Subject) string {
	switch {
	case e.Role != Role{} && e.HTTPStatus == 0:
		return fmt.Sprintf("the operator has no token to take on role %q: %s; check that the webhook of RRSA has injected it into the pod, "+
			"and that the file can be read", e.Role.ARN, e.Summary())
	case e.Role != Role{}:
		return fmt.Sprintf("STS does not let the operator take on role %q: %s: %s; check in the role's trust policy that it allows sts:AssumeRole to the provider %q, "+
			"and that its conditions on oidc:iss, oidc:aud and oidc:sub are those of the operator's service account", e.Role.ARN, e.Action, e.Summary(), e.Role.Provider)
	case e.Code == "MissingSecurityToken":
		return fmt.Sprintf("the cloud does not take temporary credentials without their token: %s; "+
			"put it into securityToken of the credentials Secret, or into ALIBABA_CLOUD_SECURITY_TOKEN for the operator's own", e.Summary())
	case s.CredentialsSecret != "":
		return fmt.Sprintf("the cloud does not take the credentials of Secret %q: %s; put a valid access key into it", s.CredentialsSecret, e.Summary())
	}
	return fmt.Sprintf("the cloud does not take the operator's own credentials: %s; correct its access key or RRSA role", e.Summary())
}
