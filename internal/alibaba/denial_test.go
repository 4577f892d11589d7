// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDenials(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-that-nobody-may-see"
	for name, tc := range map[string]struct {
		detail string
		want   Denial
		says   string
	}{
		"a role, without its session": {
			`{"AuthAction":"things:MakeThing","AuthPrincipalType":"AssumedRoleUser","AuthPrincipalDisplayName":"web:pod-1","AuthPrincipalOwnerId":"1234567890",
			"NoPermissionType":"ImplicitDeny","PolicyType":"AccountLevelIdentityBasedPolicy","EncodedDiagnosticMessage":"AQEAAAAAZBgxr0U1MjA1NTM1LUM4BBktMzE5RS1CODgxLUU1QTI0RDNFQTM1"}`,
			Denial{Principal: "web", Kind: "RAM role", Account: "1234567890", Policy: "AccountLevelIdentityBasedPolicy"},
			`(RAM role "web" of account "1234567890" needs the permission things:MakeThing)`,
		},
		"a user that a policy denies the action": {
			`{"AuthPrincipalType":"SubUser","AuthPrincipalDisplayName":27,"AuthPrincipalOwnerId":"1234567890","NoPermissionType":"ExplicitDeny","PolicyType":"ControlPolicy"}`,
			Denial{Principal: "27", Kind: "RAM user", Account: "1234567890", Policy: "ControlPolicy", Explicit: true},
			`(RAM user "27" of account "1234567890" is denied things:MakeThing explicitly, by a policy of type ControlPolicy)`,
		},
		"an account alone": {
			`{"AuthPrincipalOwnerId":"1234567890"}`, Denial{Account: "1234567890"},
			`(a principal of account "1234567890" needs the permission things:MakeThing)`,
		},
		"no principal, and no kind of policy": {
			`{"NoPermissionType":"ExplicitDeny"}`, Denial{Explicit: true}, "(things:MakeThing is denied explicitly, by a policy of type unknown)",
		},
		"another permission than the call's own": {
			`{"AuthAction":"other-things:ReadThing","AuthPrincipalOwnerId":"1234567890"}`, Denial{Account: "1234567890"},
			`(a principal of account "1234567890" needs the permission other-things:ReadThing)`,
		},
		"no permission in its place": {`{"AuthAction":"` + secret + `:*"}`, Denial{}, "(needs the permission things:MakeThing)"},
		"nothing":                    {`null`, Denial{}, "(needs the permission things:MakeThing)"},
		"no object":                  {`["AuthPrincipalOwnerId"]`, Denial{}, "(needs the permission things:MakeThing)"},
		"a secret":                   {`{"AuthPrincipalDisplayName":"` + secret + `"}`, Denial{Principal: Redacted}, `("` + Redacted + `" needs`},
		"a long name":                {`{"AuthPrincipalDisplayName":"` + strings.Repeat("a b ", 1000) + `"}`, Denial{Principal: strings.Repeat("a b ", 15) + "a..."}, `("a b `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := testCall()
			call.Permission, call.Secrets = "things:MakeThing", []string{secret}
			body := `{"Code":"NoPermission","Message":"You may not.","RequestId":"R","AccessDeniedDetail":` + tc.detail + `}`
			failure := decode(exchange{Call: call}, &http.Response{StatusCode: http.StatusForbidden}, []byte(body), new(struct{}))
			if diff := cmp.Diff(tc.want, failure.Denial); diff != "" {
				t.Error(diff)
			}
			if want := "NoPermission: You may not " + tc.says; !strings.HasPrefix(failure.Summary(), want) {
				t.Errorf("the summary %q does not begin with %q", failure.Summary(), want)
			}
		})
	}
}

// TestADenialIsOneWhateverElseItSays: an endpoint in it means something at OSS alone. Of any other product a
// deletion that was denied would count as done.
func TestADenialIsOneWhateverElseItSays(t *testing.T) {
	t.Parallel()
	call := testCall()
	call.Permission = "things:DeleteThing"
	body := `{"Code":"NoPermission","Message":"You may not.","Endpoint":"things.cn-beijing.aliyuncs.com"}`
	failure := decode(exchange{Call: call}, &http.Response{StatusCode: http.StatusForbidden}, []byte(body), new(struct{}))
	if failure == nil || failure.Class != Denied || failure.Permission != call.Permission {
		t.Errorf("failed with %+v", failure)
	}
}
