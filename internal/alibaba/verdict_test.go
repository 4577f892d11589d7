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
			slowly, []string{`the content of Secret "web-tls"`, "PrivateKeyFormatException", "reissue the certificate"},
		},
		"a parameter, where the spec adds some": {
			Error{Class: Refused, Code: "InvalidParameter.Tag", HTTPStatus: 400}, func(s *verdict.Subject) { s.Extras = []string{"spec.tags"} }, "Refused", verdict.False, true, true,
			slowly, []string{`Secret "web-tls"`, "check spec.tags"},
		},
		"a permission": {
			Error{Class: Denied, Code: "NoPermission", Permission: "yundun-cert:Upload", HTTPStatus: 403}, nil, "AccessDenied", verdict.False, true, true,
			slowly, []string{"needs the permission yundun-cert:Upload", "RAM policy", "the operator's own credentials"},
		},
		"a permission of a role, with credentials of a Secret": {
			Error{
				Class: Denied, Code: "NoPermission", Permission: "yundun-cert:Upload", HTTPStatus: 403,
				Denial: Denial{Kind: "RAM role", Principal: "web", Account: "1234567890"},
			}, func(s *verdict.Subject) { s.CredentialsSecret = "creds" }, "AccessDenied", verdict.False, true, true,
			slowly, []string{
				`RAM role "web" of account "1234567890" needs the permission yundun-cert:Upload`,
				"grant yundun-cert:Upload on resource * by a RAM policy", `Secret "creds"`,
			},
		},
		"a policy that denies": {
			Error{
				Class: Denied, Code: "NoPermission", Permission: "yundun-cert:Upload", HTTPStatus: 403,
				Denial: Denial{Kind: "RAM user", Principal: "27", Account: "1234567890", Explicit: true, Policy: "ControlPolicy"},
			}, nil, "AccessDenied", verdict.False, true, true,
			slowly, []string{`RAM user "27" of account "1234567890" is denied yundun-cert:Upload explicitly`, "of type ControlPolicy", "take yundun-cert:Upload out of what that policy denies"},
		},
		"a quota": {
			Error{Class: Quota, Code: "QuotaExceeded", HTTPStatus: 400}, nil, "QuotaExceeded", verdict.False, true, true,
			slowly, []string{"the account may not hold more certificates", "delete some that are not needed", "tried again after 5 minutes first, hourly at last"},
		},
		"a quota of an account in which superseded versions are": {
			Error{Class: Quota, Code: "QuotaExceeded", HTTPStatus: 400, Account: "1234567890", Region: "cn-hangzhou"},
			func(s *verdict.Subject) { s.Superseded = 7 }, "QuotaExceeded", verdict.False, true, true,
			slowly, []string{`account "1234567890", region cn-hangzhou may not hold more`, "7 are superseded versions", "spec.revisionHistoryLimit"},
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
		"a role that STS does not give": {
			Error{
				Class: Unauthenticated, Code: "AuthenticationFail.NoPermission", HTTPStatus: 403,
				Role: Role{ARN: "acs:ram::1234567890:role/web", Provider: "acs:ram::1234567890:oidc-provider/ack"},
			}, nil, "CredentialsUnavailable", verdict.False, true, true,
			slowly, []string{`role "acs:ram::1234567890:role/web"`, "Upload: AuthenticationFail.NoPermission", "trust policy", `"acs:ram::1234567890:oidc-provider/ack"`, "oidc:sub"},
		},
		"a role without a token": {
			Error{Class: Unauthenticated, Message: "failed to read", Role: Role{ARN: "acs:ram::1234567890:role/web"}}, nil, "CredentialsUnavailable", verdict.False, true, true,
			slowly, []string{`role "acs:ram::1234567890:role/web"`, "failed to read", "RRSA"},
		},
		"protection": {
			Error{Class: DeleteProtected, Code: "InvalidStatus.DeleteProtection", HTTPStatus: 400}, nil, "Failed", verdict.False, true, true,
			slowly, []string{"InvalidStatus.DeleteProtection"},
		},
		"a code that nobody knows": {
			Error{Code: "Something.New", UnknownCode: true, HTTPStatus: 400, MayHaveHappened: true}, nil, "Failed", verdict.False, true, false,
			verdict.Again{Pace: verdict.Soon}, []string{"Upload: Something.New", "tried again within seconds first, hourly at last"},
		},
		"a code that nobody knows, with a status of the server": {
			Error{Code: "Something.New", UnknownCode: true, HTTPStatus: 500, MayHaveHappened: true}, nil, "Failed", verdict.False, false, false,
			verdict.Again{Pace: verdict.Soon}, []string{"Upload: Something.New", "tried again within seconds first, hourly at last"},
		},
		"an error of the cloud": {
			Error{Code: "InternalError", HTTPStatus: 500, MayHaveHappened: true}, nil, "Failed", verdict.False, false, false,
			verdict.Again{Pace: verdict.Retry}, []string{"Upload: InternalError", "tried again within seconds first, every 5 minutes at last"},
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

// A condition holds 1000 bytes: the longest denial says what mends it before that.
func TestTheLongestDenialSaysWhatMendsIt(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("n", maxName)
	e := &Error{
		Class: Denied, Code: strings.Repeat("c", maxToken), Message: strings.Repeat("m", maxMessage), Permission: "yundun-cert:ListUserCertificateOrder",
		Denial: Denial{Kind: name, Principal: name, Account: name, Policy: name},
	}
	for _, e.Denial.Explicit = range []bool{false, true} {
		message := verdict.Of(e, verdict.Subject{}).Message
		fix := "; grant yundun-cert:ListUserCertificateOrder on resource * by a RAM policy"
		if e.Denial.Explicit {
			fix = "; take yundun-cert:ListUserCertificateOrder out of what that policy denies"
		}
		if at := strings.Index(message, fix); at < 0 || at+len(fix) > 1000 {
			t.Errorf("what mends it stands at %d of %d", at, len(message))
		}
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
