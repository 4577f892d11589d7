// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	roleARN     = "acs:ram::" + testAccount + ":role/web"
	providerARN = "acs:ram::" + testAccount + ":oidc-provider/cluster"
	podToken    = "header.payload.of-a-pod"
)

func roleOptions() Options {
	return Options{Accounts: []Account{{
		ID: testAccount, AccessKeyID: testKeyID, AccessKeySecret: testSecret,
		Roles: []Role{{RoleARN: roleARN, OIDCProviderARN: providerARN, Token: podToken}},
	}}}
}

// assume asks for a session, unsigned, as a pod does.
func (c *client) assume(change map[string]string) result {
	c.t.Helper()
	p := map[string]string{
		"Action": "AssumeRoleWithOIDC", "Format": "JSON", "Version": sts.version,
		"Timestamp": c.clock.Now().Format(timestampLayout), "DurationSeconds": "900",
		"OIDCProviderArn": providerARN, "OIDCToken": podToken, "RoleArn": roleARN, "RoleSessionName": "pod-1",
	}
	maps.Copy(p, change)
	return c.post(form(p))
}

func TestASessionOfARoleWorksUntilItExpires(t *testing.T) {
	t.Parallel()
	s, c, clock := newTestServer(t, roleOptions())
	r := c.assume(nil)
	credentials, _ := r.fields["Credentials"].(map[string]any)
	if r.status != http.StatusOK || credentials["Expiration"] != "2026-05-06T07:23:09Z" {
		t.Fatalf("answer %d, code %q, expires %v", r.status, r.code(), credentials["Expiration"])
	}
	session := *c
	session.id, session.secret = credentials["AccessKeyId"].(string), credentials["AccessKeySecret"].(string)
	session.token = credentials["SecurityToken"].(string)
	session.upload("web", issueFor("a.example.com"))
	identity := session.call("GetCallerIdentity", nil)
	if diff := cmp.Diff(map[string]any{
		"RequestId": identity.fields["RequestId"], "IdentityType": "AssumedRoleUser", "AccountId": testAccount,
		"Arn":    "acs:ram::" + testAccount + ":assumed-role/web/pod-1",
		"RoleId": "300000000000000001", "PrincipalId": "300000000000000001:pod-1",
	}, identity.fields); diff != "" {
		t.Error(diff)
	}
	if got := s.Journal()[0].Account; got != testAccount {
		t.Errorf("the journal has account %q for the session", got)
	}

	wrong := session
	wrong.token = "wrong"
	without := session
	without.token = ""
	clock.advance(15*time.Minute - 1)
	got := []string{session.call("GetCallerIdentity", nil).code(), wrong.call("GetCallerIdentity", nil).code(), without.call("GetCallerIdentity", nil).code()}
	clock.advance(1)
	got = append(got, session.call("GetCallerIdentity", nil).code())
	clock.advance(25 * time.Hour)
	c.assume(nil)
	got = append(got, session.call("GetCallerIdentity", nil).code())
	want := []string{"", "InvalidSecurityToken.Malformed", "MissingSecurityToken", "InvalidSecurityToken.Expired", "InvalidAccessKeyId.NotFound"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTokensThatDoNotBelongToTheirKey(t *testing.T) {
	t.Parallel()
	_, c, _ := newTestServer(t, roleOptions())
	session := func() *client {
		credentials := c.assume(nil).fields["Credentials"].(map[string]any)
		own := *c
		own.id, own.secret, own.token = credentials["AccessKeyId"].(string), credentials["AccessKeySecret"].(string), credentials["SecurityToken"].(string)
		return &own
	}
	first, second := session(), session()
	tests := map[string]struct {
		client *client
		token  string
		want   string
	}{
		"the token of another session":             {first, second.token, "InvalidSecurityToken.MismatchWithAccessKey"},
		"the token of a session for a key":         {c, first.token, "InvalidSecurityToken.MismatchWithAccessKey"},
		"a token that is none":                     {first, "none", "InvalidSecurityToken.Malformed"},
		"a token that is none for a key":           {c, "none", "InvalidSecurityToken.Malformed"},
		"no token with the key of a session":       {first, "", "MissingSecurityToken"},
		"the token of the session":                 {first, first.token, ""},
		"no token with a key that has none anyway": {c, "", ""},
	}
	for name, test := range tests {
		own := *test.client
		own.token, own.nonce = test.token, len(name)<<8
		if r := own.call("GetCallerIdentity", nil); r.code() != test.want || r.status != http.StatusOK && r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %q, want %q", name, r.status, r.code(), test.want)
		}
	}
}

func TestAnAccessKeyIsSwitchedOffAndOn(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	var got []string
	for _, active := range []bool{false, true} {
		if !s.SetAccessKeyActive(testKeyID, active) {
			t.Fatal("no such key")
		}
		got = append(got, c.call("GetCallerIdentity", nil).code())
	}
	if diff := cmp.Diff([]string{"InvalidAccessKeyId.Inactive", ""}, got); diff != "" {
		t.Error(diff)
	}
	if s.SetAccessKeyActive("LTAInobody", false) {
		t.Error("a key that is not there is switched off")
	}
}

func TestEvery403SaysWhoMayNotDoWhat(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, roleOptions())
	credentials := c.assume(nil).fields["Credentials"].(map[string]any)
	session := *c
	session.id, session.secret, session.token = credentials["AccessKeyId"].(string), credentials["AccessKeySecret"].(string), credentials["SecurityToken"].(string)
	detail := func(action, kind, name, owner string) map[string]any {
		return map[string]any{
			"AuthAction": action, "AuthPrincipalType": kind, "AuthPrincipalDisplayName": name, "AuthPrincipalOwnerId": owner,
			"NoPermissionType": "ImplicitDeny", "PolicyType": "AccountLevelIdentityBasedPolicy",
		}
	}
	user := detail("yundun-cert:DeleteUserCertificate", "SubUser", "200000000000000001", testAccount)
	tests := map[string]struct {
		client *client
		fault  Fault
		want   map[string]any
	}{
		"a user that is denied":    {c, Fault{Kind: FaultDenied}, user},
		"a code of RAM":            {c, Fault{Kind: FaultFail, Code: "Forbidden.RAM"}, user},
		"a code of no known class": {c, Fault{Kind: FaultFail, Code: "Never.Seen", Status: 403}, user},
		"a code that is a number":  {c, Fault{Kind: FaultNumericCode, Status: 403}, user},
		"a session of a role":      {&session, Fault{Kind: FaultDenied}, detail("yundun-cert:DeleteUserCertificate", "AssumedRoleUser", "web:pod-1", testAccount)},
	}
	check := func(name string, r result, want map[string]any) {
		got, _ := r.fields["AccessDeniedDetail"].(map[string]any)
		if encoded, _ := got["EncodedDiagnosticMessage"].(string); r.status != http.StatusForbidden || encoded == "" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		delete(got, "EncodedDiagnosticMessage")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name, test := range tests {
		fault := s.Inject(test.fault)
		own := *test.client
		own.nonce = len(name) << 8
		check(name, own.call("DeleteUserCertificate", map[string]string{"CertId": "1"}), test.want)
		s.ClearFault(fault)
	}
	check("a role that does not trust", c.assume(map[string]string{"OIDCProviderArn": "x"}), detail("sts:AssumeRoleWithOIDC", "SubUser", "200000000000000001", ""))
	if r := c.call("DeleteUserCertificate", map[string]string{"CertId": "1"}); strings.Contains(r.body, "AccessDeniedDetail") {
		t.Errorf("a 400 has it too: %s", r.body)
	}
}

func TestIdentityOfAnAccessKey(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	r := c.at(s, RegionInternational).call("GetCallerIdentity", nil)
	if r.fields["AccountId"] != testAccount || r.fields["IdentityType"] != "RAMUser" || r.fields["Arn"] != "acs:ram::"+testAccount+":user/emulated-user" {
		t.Errorf("answer %s", r.body)
	}
}

func TestSessionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change map[string]string
		code   string
	}{
		"no token":            {map[string]string{"OIDCToken": ""}, "MissingParameter"},
		"another token":       {map[string]string{"OIDCToken": "x"}, "AuthenticationFail.OIDCToken.AudienceNotMatch"},
		"another provider":    {map[string]string{"OIDCProviderArn": "x"}, "AuthenticationFail.NoPermission"},
		"another role":        {map[string]string{"RoleArn": roleARN + "x"}, "AuthenticationFail.NoPermission"},
		"no session name":     {map[string]string{"RoleSessionName": ""}, "MissingParameter"},
		"a bad session name":  {map[string]string{"RoleSessionName": "a b"}, "InvalidParameter"},
		"too short a session": {map[string]string{"DurationSeconds": "899"}, "InvalidParameter"},
		"too long a session":  {map[string]string{"DurationSeconds": "43201"}, "InvalidParameter"},
	} {
		_, c, _ := newTestServer(t, roleOptions())
		if r := c.assume(test.change); r.code() != test.code {
			t.Errorf("%s: %q, want %q", name, r.code(), test.code)
		}
	}
}

// TestSecretsShowNowhere makes every kind of call with everything that can go
// wrong and searches all that the emulator shows of it.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := roleOptions()
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.UploadLimit, o.ListLimit = -1, -1
	s, c, _ := newTestServer(t, o)
	p, sm := issueFor("a.example.com"), issueSM("a.example.com")
	session := c.assume(nil).fields["Credentials"].(map[string]any)
	upload := map[string]string{"Name": "web", "Cert": p.cert, "Key": p.key}
	id := formatID(c.upload("web", p))
	c.call("UploadUserCertificate", sm.parameters("sm"))
	c.call("GetUserCertificateDetail", map[string]string{"CertId": id})
	// Users misplace secrets.
	for _, place := range []string{"Name", "Action", "CertId", "RegionId", "Tags.1.Key", "ResourceGroupId", "Cert"} {
		misplaced := maps.Clone(upload)
		misplaced[place] = p.key
		c.call("UploadUserCertificate", misplaced)
	}
	for _, kind := range answers {
		if kind == FaultHang || kind == FaultReset {
			continue
		}
		fault := s.Inject(Fault{Kind: kind, AfterCommit: true})
		upload["Name"] = "under_" + strings.ReplaceAll(string(kind), "-", "_")
		c.call("UploadUserCertificate", upload)
		s.ClearFault(fault)
	}
	inURL := c.common("UploadUserCertificate")
	maps.Copy(inURL, upload)
	c.do(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+form(inURL).Encode(), nil))
	if calls := s.Journal(); !calls[len(calls)-1].SecretInURL || calls[1].SecretInURL {
		t.Error("the journal does not tell which call had its key in the URL")
	}

	shown := map[string]string{"log": log.String(), "%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown["options by "+verb] = fmt.Sprintf(verb, o)
		shown["account by "+verb] = fmt.Sprintf(verb, &o.Accounts[0])
		shown["record by "+verb] = fmt.Sprintf(verb, *s.accounts[testAccount].shelves[RegionChina].records[0])
		shown["key by "+verb] = fmt.Sprintf(verb, *s.keys[testKeyID])
		shown["journal by "+verb] = fmt.Sprintf(verb, s.Journal())
	}
	shown["options as JSON"] = string(must(json.Marshal(o.Accounts)))
	shown["the secret in a log"] = slog.AnyValue(o.Accounts[0].AccessKeySecret).Resolve().String()
	for _, path := range []string{"/accounts", "/certificates", "/journal", "/counters", "/faults"} {
		recorder := httptest.NewRecorder()
		s.AdminHandler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if recorder.Code != http.StatusOK {
			t.Errorf("%s: %d", path, recorder.Code)
		}
		shown[path] = recorder.Body.String()
	}
	secrets := map[string]string{
		"a secret of a key": testSecret, "the token of a pod": podToken,
		"the secret of a session": session["AccessKeySecret"].(string), "the token of a session": session["SecurityToken"].(string),
		"a PEM header": "PRIVATE KEY",
	}
	for name, key := range map[string]string{"a key": p.key, "a signing key": sm.signKey, "an encryption key": sm.encryptKey} {
		secrets[name] = strings.Split(key, "\n")[1]
	}
	for place, text := range shown {
		if text == "" {
			t.Errorf("nothing was shown by %s: this test would prove nothing", place)
		}
		for name, secret := range secrets {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret)} {
				if strings.Contains(text, form) {
					t.Errorf("%s shows %s", place, name)
				}
			}
		}
	}
}

// admin calls the admin interface.
func admin(t *testing.T, s *Server, method, target, body string) (int, string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	s.AdminHandler().ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

func TestTheAdminInterfaceChangesTheCloud(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	p := issueFor("a.example.com")
	foreign := string(must(json.Marshal(map[string]string{"account": testAccount, "region": RegionChina, "name": "theirs", "pem": p.cert})))
	status, body := admin(t, s, http.MethodPost, "/certificates/foreign", foreign)
	var made Certificate
	if err := json.Unmarshal([]byte(body), &made); status != http.StatusOK || err != nil || made.Name != "theirs" || !made.Foreign {
		t.Fatalf("foreign: %d %s", status, body)
	}
	at := fmt.Sprintf(`{"account":%q,"region":%q,"certId":%d}`, testAccount, RegionChina, made.CertID)
	inUse := strings.Replace(at, "}", `,"code":"Never.Seen"}`, 1)
	steps := []struct {
		method, target, body string
		status               int
	}{
		{"POST", "/certificates/foreign", foreign, 400},
		{"POST", "/certificates/in-use", inUse, 200},
		{"POST", "/certificates/delete", at, 200},
		{"POST", "/certificates/in-use", inUse, 400},
		{"POST", "/access-keys", `{"accessKeyId":"LTAInobody","active":false}`, 400},
		{"POST", "/access-keys", `{"accessKeyId":"` + testKeyID + `","active":false}`, 200},
		{"POST", "/access-keys", `{"accessKeyId":"` + testKeyID + `","active":true}`, 200},
		{"POST", "/certificates/delete", at, 400},
		{"POST", "/faults", `{"kind":"throttle","timeLeft":"2s","userTimeLeft":"3s","count":1}`, 200},
		{"POST", "/faults", `{"kind":"throttle","userTimeLeft":"soon"}`, 400},
		{"POST", "/faults", `{"kind":"throttle","delay":"soon"}`, 400},
		{"POST", "/faults", `{"kind":"explode"}`, 400},
		{"POST", "/faults", `{"kind":"throttle","typo":1}`, 400},
		{"POST", "/faults", `none`, 400},
		{"GET", "/journal?after=x", "", 400},
		{"GET", "/healthz", "", 200},
	}
	for _, step := range steps {
		if status, body := admin(t, s, step.method, step.target, step.body); status != step.status {
			t.Errorf("%s %s %s: %d %s, want %d", step.method, step.target, step.body, status, body, step.status)
		}
	}
	if r := c.call("GetCallerIdentity", nil); r.code() != "Throttling.User" || !strings.Contains(r.header.Get("x-ratelimit-user-api"), ",TimeLeft:2000,") ||
		!strings.Contains(r.header.Get("x-ratelimit-user"), ",TimeLeft:3000,") {
		t.Errorf("the injected fault did not strike: %s", r.body)
	}
	s.Inject(Fault{Kind: FaultFail})
	if _, body := admin(t, s, http.MethodDelete, "/faults", ""); strings.TrimSpace(body) != "[]" {
		t.Errorf("faults after they were deleted: %s", body)
	}
	before := c.upload("web", p)
	if _, body := admin(t, s, http.MethodGet, "/journal?after=1", ""); strings.Count(body, `"number"`) != 1 || !strings.Contains(body, "UploadUserCertificate") {
		t.Errorf("the journal after the first call: %s", body)
	}
	if _, body := admin(t, s, http.MethodGet, "/certificates?account="+testAccount+"&region="+RegionInternational, ""); strings.TrimSpace(body) != "[]" {
		t.Errorf("certificates of the other region: %s", body)
	}
	if status, body := admin(t, s, http.MethodPost, "/reset", ""); status != http.StatusOK {
		t.Errorf("reset: %d %s", status, body)
	}
	if len(s.Journal()) != 0 || len(s.Certificates(testAccount, RegionChina)) != 0 {
		t.Error("the reset left something behind")
	}
	if after := c.upload("web", p); after <= before {
		t.Errorf("CertId %d after the reset, %d before", after, before)
	}
}

func TestAWebPageCannotUseTheAdminInterface(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	c.upload("web", issueFor("a.example.com"))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/reset", strings.NewReader("{}"))
	request.Header.Set("Content-Type", "text/plain")
	recorder := httptest.NewRecorder()
	s.AdminHandler().ServeHTTP(recorder, request)
	if recorder.Code != http.StatusUnsupportedMediaType || len(s.Journal()) != 1 {
		t.Errorf("answer %d, %d calls in the journal", recorder.Code, len(s.Journal()))
	}
}

func TestForeignCertificatesThatAreRefused(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	p := issueFor("a.example.com")
	c.upload("web", p)
	for name, test := range map[string]struct {
		account, region string
		foreign         Foreign
	}{
		"an unknown account": {"1", RegionChina, Foreign{Name: "a", PEM: p.cert}},
		"an unknown region":  {testAccount, "cn-beijing", Foreign{Name: "a", PEM: p.cert}},
		"no name":            {testAccount, RegionChina, Foreign{PEM: p.cert}},
		"too long a name":    {testAccount, RegionChina, Foreign{Name: strings.Repeat("名", 64), PEM: p.cert}},
		"a taken name":       {testAccount, RegionChina, Foreign{Name: "WEB", PEM: p.cert}},
		"no certificate":     {testAccount, RegionChina, Foreign{Name: "a", PEM: p.key}},
	} {
		if _, err := s.AddForeign(test.account, test.region, test.foreign); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestForeignNamesAreStoredAsTheyAre(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	want := []string{strings.Repeat("名", 63), "*.example.com (2026/05) \"old\"", "a-b.c"}
	for _, name := range slices.Backward(want) {
		if _, err := s.AddForeign(testAccount, RegionChina, Foreign{Name: name, PEM: issueFor("a.example.com").cert}); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(want, names(c.list(nil))); diff != "" {
		t.Error(diff)
	}
}

func TestTheJournalIsBounded(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{JournalSize: 10})
	for range 100 {
		c.call("GetCallerIdentity", nil)
		if n := len(s.Journal()); n > 20 {
			t.Fatalf("the journal holds %d calls", n)
		}
	}
	calls := s.Journal()
	if len(calls) < 10 || calls[len(calls)-1].Number != 100 || !slices.IsSortedFunc(calls, func(a, b Call) int { return int(a.Number - b.Number) }) {
		t.Errorf("the journal ends with %+v of %d", calls[len(calls)-1], len(calls))
	}
}
