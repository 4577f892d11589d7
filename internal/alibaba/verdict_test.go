// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// Every answer of the cloud has its reason, says what it is about and what mends it.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	slowly := verdict.Again{Pace: verdict.Slowly}
	subject := verdict.Subject{Now: at, Secret: "web-tls", Served: true, ThrottledSince: at.Add(-2 * time.Minute), Refused: "Refused", Failed: "Failed"}
	for name, tc := range map[string]struct {
		err     Error
		change  func(*verdict.Subject)
		reason  string
		ready   verdict.Ready
		refusal bool
		void    bool
		again   verdict.Again
		says    []string
	}{
		"a limit": {
			Error{Class: Throttled, RetryAfter: time.Second}, nil, "Throttled", verdict.Unchanged, false, true,
			verdict.Again{Pace: verdict.In, After: time.Second}, []string{"rate limit of Upload", "2026-11-26T11:58:00Z"},
		},
		"a limit, and nothing is served": {
			Error{Class: Throttled}, func(s *verdict.Subject) { s.Served = false }, "Throttled", verdict.False, false, true,
			verdict.Again{Pace: verdict.In, After: 10 * time.Millisecond}, []string{"rate limit"},
		},
		"the content": {
			Error{Class: Refused, Code: "PrivateKeyFormatException", HTTPStatus: 400}, nil, "Refused", verdict.False, true, true,
			slowly, []string{`the content of Secret "web-tls"`, "PrivateKeyFormatException", "have it issued again"},
		},
		"a parameter, where the spec adds some": {
			Error{Class: Refused, Code: "InvalidParameter.Tag", HTTPStatus: 400}, func(s *verdict.Subject) { s.Extras = []string{"spec.tags"} }, "Refused", verdict.False, true, true,
			slowly, []string{`Secret "web-tls"`, "check spec.tags"},
		},
		"a permission": {
			Error{Class: Denied, Code: "NoPermission", Permission: "yundun-cert:Upload", HTTPStatus: 403}, nil, "AccessDenied", verdict.False, true, true,
			slowly, []string{"yundun-cert:Upload", "RAM policy"},
		},
		"a quota": {
			Error{Class: Quota, Code: "QuotaExceeded", HTTPStatus: 400}, nil, "QuotaExceeded", verdict.False, true, true,
			slowly, []string{"delete certificates that are not needed"},
		},
		"the operator's own credentials": {
			Error{Class: Unauthenticated, Code: "SignatureDoesNotMatch", HTTPStatus: 400}, nil, "CredentialsUnavailable", verdict.False, true, true,
			slowly, []string{"the operator's own credentials", "RRSA role"},
		},
		"credentials of a Secret": {
			Error{Class: Unauthenticated, Code: "InvalidAccessKeyId.NotFound", HTTPStatus: 404}, func(s *verdict.Subject) { s.CredentialsSecret = "creds" },
			"CredentialsUnavailable", verdict.False, true, true, slowly, []string{`Secret "creds"`, "put a valid access key into it"},
		},
		"a token that is missing": {
			Error{Class: Unauthenticated, Code: "MissingSecurityToken", HTTPStatus: 400}, nil, "CredentialsUnavailable", verdict.False, true, true,
			slowly, []string{"securityToken", "ALIBABA_CLOUD_SECURITY_TOKEN"},
		},
		"protection": {
			Error{Class: DeleteProtected, Code: "InvalidStatus.DeleteProtection", HTTPStatus: 400}, nil, "Failed", verdict.False, true, true,
			slowly, []string{"InvalidStatus.DeleteProtection"},
		},
		"a code that nobody knows": {
			Error{Code: "Something.New", UnknownCode: true, HTTPStatus: 400, MayHaveHappened: true}, nil, "Failed", verdict.False, true, false,
			verdict.Again{Pace: verdict.Soon}, []string{"Upload: Something.New", "tried again"},
		},
		"a code that nobody knows, with a status of the server": {
			Error{Code: "Something.New", UnknownCode: true, HTTPStatus: 500, MayHaveHappened: true}, nil, "Failed", verdict.False, false, false,
			verdict.Again{Pace: verdict.Soon}, []string{"Upload: Something.New", "tried again"},
		},
		"an error of the cloud": {
			Error{Code: "InternalError", HTTPStatus: 500, MayHaveHappened: true}, nil, "Failed", verdict.False, false, false,
			verdict.Again{Pace: verdict.Retry}, []string{"Upload: InternalError", "tried again"},
		},
		"no answer": {
			Error{MayHaveHappened: true}, nil, "Failed", verdict.False, false, false,
			verdict.Again{Pace: verdict.Retry}, []string{"Upload: no usable answer", "log has the cause"},
		},
		"a list that is not read again before its time": {
			Error{Message: "away", RetryAfter: time.Minute}, nil, "Failed", verdict.False, false, true,
			verdict.Again{Pace: verdict.In, After: time.Minute}, []string{"Upload: away"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := subject
			if tc.change != nil {
				tc.change(&s)
			}
			tc.err.Action = "Upload"
			v := verdict.Of(&tc.err, s)
			got := []any{v.Reason, v.Ready, v.Refusal, v.Void, v.Quiet, v.Again}
			if diff := cmp.Diff([]any{tc.reason, tc.ready, tc.refusal, tc.void, false, tc.again}, got); diff != "" {
				t.Error(diff)
			}
			for _, part := range tc.says {
				if !strings.Contains(v.Message, part) {
					t.Errorf("the message does not say %q: %s", part, v.Message)
				}
			}
		})
	}
}

func TestALimitIsNotSaidForAMinute(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for waited, quiet := range map[time.Duration]bool{Patience - time.Second: true, Patience: false} {
		v := verdict.Of(&Error{Class: Throttled}, verdict.Subject{Now: at, ThrottledSince: at.Add(-waited)})
		if v.Quiet != quiet {
			t.Errorf("after %s: quiet %t", waited, v.Quiet)
		}
	}
}
