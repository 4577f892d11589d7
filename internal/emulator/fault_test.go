// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// uploadWith uploads one certificate under a fault.
func uploadWith(t *testing.T, f Fault) (*Server, *client, result) {
	t.Helper()
	s, c, _ := newTestServer(t, Options{})
	s.Inject(f)
	p := issueFor("a.example.com")
	return s, c, c.call("UploadUserCertificate", map[string]string{"Name": "web", "Cert": p.cert, "Key": p.key})
}

func TestFaultsThatReplaceAnAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault     Fault
		status    int
		code      string
		contains  string
		committed bool
	}{
		"a failure before the commit":     {Fault{Kind: FaultFail}, 503, "ServiceUnavailable", "", false},
		"a failure after the commit":      {Fault{Kind: FaultFail, AfterCommit: true}, 503, "ServiceUnavailable", "", true},
		"a known code":                    {Fault{Kind: FaultFail, Code: "InsufficientQuota"}, 400, "InsufficientQuota", "quota", false},
		"a known code of another status":  {Fault{Kind: FaultFail, Code: "InternalError", Status: 400}, 400, "InternalError", "", false},
		"an unknown code":                 {Fault{Kind: FaultFail, Code: "Never.Seen", Message: "well"}, 400, "Never.Seen", "well", false},
		"bad credentials":                 {Fault{Kind: FaultFail, Code: "InvalidAccessKeyId.NotFound"}, 404, "InvalidAccessKeyId.NotFound", "", false},
		"a clock that is off":             {Fault{Kind: FaultFail, Code: "InvalidTimeStamp.Expired"}, 400, "InvalidTimeStamp.Expired", "", false},
		"a throttle storm":                {Fault{Kind: FaultThrottle}, 400, "Throttling.User", "", false},
		"a throttle storm of a gateway":   {Fault{Kind: FaultThrottle, Code: "FlowControlError", Status: 429}, 429, "FlowControlError", "", false},
		"a denial":                        {Fault{Kind: FaultDenied}, 403, "NoPermission", `"EncodedDiagnosticMessage"`, false},
		"a denial of another code":        {Fault{Kind: FaultDenied, Code: "Forbidden.RAM"}, 403, "Forbidden.RAM", `"AuthPrincipalOwnerId":"` + testAccount + `"`, false},
		"a denial of no known code":       {Fault{Kind: FaultFail, Code: "Never.Seen", Status: 403}, 403, "Never.Seen", `"AccessDeniedDetail":{`, false},
		"a token that is missing":         {Fault{Kind: FaultFail, Code: "MissingSecurityToken"}, 400, "MissingSecurityToken", "", false},
		"a key that is switched off":      {Fault{Kind: FaultFail, Code: "InvalidAccessKeyId.Inactive"}, 400, "InvalidAccessKeyId.Inactive", "", false},
		"a token that is not known":       {Fault{Kind: FaultFail, Code: "InvalidSecurityToken.NotFound"}, 404, "InvalidSecurityToken.NotFound", "", false},
		"a name taken invisibly":          {Fault{Kind: FaultNameTaken}, 400, "NameRepeat", "", false},
		"the string to sign echoed":       {Fault{Kind: FaultEchoSignature}, 400, "SignatureDoesNotMatch", "server string to sign is:POST&%2F&", false},
		"a page of HTML":                  {Fault{Kind: FaultHTML}, 502, "", "<html>", false},
		"a page of HTML after the commit": {Fault{Kind: FaultHTML, Status: 504, AfterCommit: true}, 504, "", "<html>", true},
		"a code that is a number":         {Fault{Kind: FaultNumericCode}, 500, "", `"Code":500`, false},
		"an empty success":                {Fault{Kind: FaultEmpty, AfterCommit: true}, 200, "", "", true},
		"an empty success of nothing":     {Fault{Kind: FaultEmpty}, 200, "", "", false},
		"half an answer":                  {Fault{Kind: FaultTruncated}, 200, "", `{"CertId":`, true},
		"a CertId of 0":                   {Fault{Kind: FaultZeroCertID, AfterCommit: true}, 200, "", `"CertId":0`, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, r := uploadWith(t, test.fault)
			if r.status != test.status || r.code() != test.code || !strings.Contains(r.body, test.contains) {
				t.Errorf("answer %d %q, contains %q: %t; want %d %q", r.status, r.code(), test.contains, strings.Contains(r.body, test.contains), test.status, test.code)
			}
			if readable := json.Valid([]byte(r.body)); readable == (test.fault.Kind == FaultHTML || test.fault.Kind == FaultEmpty || test.fault.Kind == FaultTruncated) {
				t.Errorf("the body is JSON: %t", readable)
			}
			call := s.Journal()[0]
			if held := len(s.Certificates(testAccount, RegionChina)); held == 1 != test.committed || call.Committed != test.committed {
				t.Errorf("%d certificates are held, journal %+v", held, call)
			}
			if diff := cmp.Diff([]FaultKind{test.fault.Kind}, call.Faults); diff != "" {
				t.Errorf("faults of the journal: %s", diff)
			}
			s.ClearFaults()
			if !test.committed {
				c.upload("web", issueFor("a.example.com"))
			}
		})
	}
}

func TestErrorBodiesHaveTheDocumentedShape(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	r := c.call("DeleteUserCertificate", map[string]string{"CertId": "5"})
	want := map[string]any{
		"Code": "NotFound", "Message": "The certificate does not exist.", "HostId": "cas.aliyuncs.com",
		"RequestId": r.fields["RequestId"],
		"Recommend": "https://api.aliyun.com/troubleshoot?q=NotFound&product=cas&requestId=" + r.fields["RequestId"].(string),
	}
	if diff := cmp.Diff(want, r.fields); diff != "" {
		t.Error(diff)
	}
	abroad := c.at(s, RegionInternational).call("DeleteUserCertificate", map[string]string{"CertId": "5"})
	if got := abroad.fields["HostId"]; got != "cas.ap-southeast-1.aliyuncs.com" {
		t.Errorf("HostId of the international region is %v", got)
	}
}

func TestAThrottleStormSaysHowLong(t *testing.T) {
	t.Parallel()
	header := func(left time.Duration) string {
		return fmt.Sprintf("Limit:100,Remain:0,TimeLeft:%d,Reset:%d", left.Milliseconds(), epoch.Add(left).UnixMilli())
	}
	const short, long = 1500 * time.Millisecond, time.Minute
	tests := map[string]struct {
		fault     Fault
		api, user string
	}{
		"in no header":                   {Fault{}, "", ""},
		"of the action":                  {Fault{TimeLeft: short}, header(short), ""},
		"of the account":                 {Fault{UserTimeLeft: long}, "", header(long)},
		"of both, the action's shorter":  {Fault{TimeLeft: short, UserTimeLeft: long}, header(short), header(long)},
		"of both, the account's shorter": {Fault{TimeLeft: long, UserTimeLeft: short}, header(long), header(short)},
	}
	for name, test := range tests {
		test.fault.Kind = FaultThrottle
		_, _, r := uploadWith(t, test.fault)
		if diff := cmp.Diff([]string{test.api, test.user}, []string{r.header.Get("x-ratelimit-user-api"), r.header.Get("x-ratelimit-user")}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestEveryAnswerHasTheDateOfTheCloud lets the cloud's clock be another than the
// machine's, on the wire.
func TestEveryAnswerHasTheDateOfTheCloud(t *testing.T) {
	t.Parallel()
	s, c, clock := newTestServer(t, Options{})
	clock.advance(20 * time.Minute)
	server := httptest.NewServer(s.Handler(RegionChina))
	defer server.Close()
	send := func(p map[string]string) string {
		response, err := server.Client().PostForm(server.URL, form(p))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if len(response.Header["Date"]) != 1 {
			t.Errorf("%v headers Date", response.Header["Date"])
		}
		return response.Header.Get("Date")
	}
	signed := func() map[string]string {
		p := c.common("GetCallerIdentity")
		p["Signature"] = testSign(http.MethodPost, testSecret, p)
		return p
	}
	late := c.common("GetCallerIdentity")
	late["Timestamp"] = epoch.Format(timestampLayout)
	got := map[string]string{"a success": send(signed()), "no call at all": send(nil), "a clock that is late": send(late)}
	s.Inject(Fault{Kind: FaultHTML})
	got["a page of HTML"] = send(signed())
	for name, date := range got {
		if date != "Wed, 06 May 2026 07:28:09 GMT" {
			t.Errorf("%s: Date is %q", name, date)
		}
	}
}

func TestTheEchoHoldsThePrivateKey(t *testing.T) {
	t.Parallel()
	_, _, r := uploadWith(t, Fault{Kind: FaultEchoSignature})
	message, _ := r.fields["Message"].(string)
	for range 2 {
		message, _ = url.PathUnescape(message)
	}
	if !strings.Contains(message, "-----BEGIN EC PRIVATE KEY-----") {
		t.Error("the echo holds no key: clients would not be tried")
	}
}

func TestWhichCallsAFaultMeets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault Fault
		want  []string // of the uploads web_0 … web_3
	}{
		"all":                    {Fault{}, []string{"X", "X", "X", "X"}},
		"the action":             {Fault{Action: "UploadUserCertificate"}, []string{"X", "X", "X", "X"}},
		"another action":         {Fault{Action: "DeleteUserCertificate"}, []string{"", "", "", ""}},
		"the account":            {Fault{Account: testAccount}, []string{"X", "X", "X", "X"}},
		"another account":        {Fault{Account: otherID}, []string{"", "", "", ""}},
		"another region":         {Fault{Region: RegionInternational}, []string{"", "", "", ""}},
		"a part of the name":     {Fault{NameContains: "_2"}, []string{"", "", "X", ""}},
		"the third call":         {Fault{Skip: 2, Count: 1}, []string{"", "", "X", ""}},
		"two calls":              {Fault{Count: 2}, []string{"X", "X", "", ""}},
		"next to none by chance": {Fault{Probability: 1e-9}, []string{"", "", "", ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := newTestServer(t, Options{})
			test.fault.Kind, test.fault.Code = FaultFail, "X"
			s.Inject(test.fault)
			p := issueFor("a.example.com")
			var got []string
			for _, name := range []string{"web_0", "web_1", "web_2", "web_3"} {
				got = append(got, c.call("UploadUserCertificate", map[string]string{"Name": name, "Cert": p.cert, "Key": p.key}).code())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOneFaultCanBeCleared(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	first := s.Inject(Fault{Kind: FaultFail, Code: "First"})
	s.Inject(Fault{Kind: FaultFail, Code: "Second"})
	got := []string{c.call("GetCallerIdentity", nil).code()}
	s.ClearFault(first)
	got = append(got, c.call("GetCallerIdentity", nil).code())
	s.ClearFaults()
	got = append(got, c.call("GetCallerIdentity", nil).code())
	if diff := cmp.Diff([]string{"First", "Second", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	s, _, _ := newTestServer(t, Options{})
	s.Serve(lamps(nil), "")
	for name, f := range map[string]Fault{
		"no kind":                        {},
		"an unknown kind":                {Kind: "explode"},
		"an unknown action":              {Kind: FaultFail, Action: "Upload"},
		"an unknown region":              {Kind: FaultFail, Region: "cn-beijing"},
		"a product that is not served":   {Kind: FaultFail, Product: "fans"},
		"an action of CAS for a product": {Kind: FaultFail, Product: "lamps", Action: "UploadUserCertificate"},
		"a status of none":               {Kind: FaultFail, Status: 99},
		"a negative count":               {Kind: FaultFail, Count: -1},
		"more than certain":              {Kind: FaultFail, Probability: 1},
	} {
		if s.validate(f) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestFaultsOfLists(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault Fault
		want  []string // name and whether the digest is there, wrong or missing
		total float64
	}{
		"none":                                {Fault{Kind: FaultHide, NameContains: "nothing"}, []string{"sm:sign", "b:right", "a:right"}, 3},
		"digests missing":                     {Fault{Kind: FaultNoDigests}, []string{"sm:", "b:", "a:"}, 3},
		"digests missing of one name":         {Fault{Kind: FaultNoDigests, NameContains: "a"}, []string{"sm:sign", "b:right", "a:"}, 3},
		"digests of the other SM certificate": {Fault{Kind: FaultOtherDigests}, []string{"sm:encrypt", "b:right", "a:right"}, 3},
		"a short page":                        {Fault{Kind: FaultShortPage}, []string{"sm:sign", "b:right"}, 3},
		"a much shorter page":                 {Fault{Kind: FaultShortPage, Size: 9}, []string{}, 3},
		"a count too low":                     {Fault{Kind: FaultTotalCount}, []string{"sm:sign", "b:right", "a:right"}, 2},
		"a count too high":                    {Fault{Kind: FaultTotalCount, Size: 5}, []string{"sm:sign", "b:right", "a:right"}, 8},
		"a certificate hidden":                {Fault{Kind: FaultHide, NameContains: "b"}, []string{"sm:sign", "a:right"}, 2},
	}
	sm := issueSM("sm.example.com")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := newTestServer(t, Options{})
			s.Inject(test.fault)
			c.upload("a", issueFor("a.example.com"))
			c.upload("b", issueFor("b.example.com"))
			c.call("UploadUserCertificate", sm.parameters("sm"))
			digest := map[any]string{"": "", s.Certificates(testAccount, RegionChina)[2].SHA256: "sign"}
			digest[s.accounts[testAccount].shelves[RegionChina].records[2].otherSHA256] = "encrypt"
			for _, held := range s.Certificates(testAccount, RegionChina)[:2] {
				digest[held.SHA256] = "right"
			}
			r := c.call("ListUserCertificateOrder", map[string]string{"OrderType": "UPLOAD"})
			got := []string{}
			for _, entry := range r.fields["CertificateOrderList"].([]any) {
				e := entry.(map[string]any)
				got = append(got, e["Name"].(string)+":"+digest[e["Sha2"]])
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if r.fields["TotalCount"] != test.total {
				t.Errorf("TotalCount is %v, want %v", r.fields["TotalCount"], test.total)
			}
		})
	}
}

func TestEntriesWithoutAReadableID(t *testing.T) {
	t.Parallel()
	const id = 27_100_001.0
	for name, test := range map[string]struct {
		fault Fault
		want  []any
	}{
		"one of two": {Fault{NameContains: "b"}, []any{nil, id}},
		"all":        {Fault{}, []any{nil, nil}},
		"a text":     {Fault{NameContains: "a", Message: "many"}, []any{id + 1, "many"}},
	} {
		s, c, _ := newTestServer(t, Options{})
		c.upload("a", issueFor("a.example.com"))
		c.upload("b", issueFor("b.example.com"))
		test.fault.Kind = FaultUnreadableID
		s.Inject(test.fault)
		var got []any
		for _, entry := range c.list(nil) {
			got = append(got, entry["CertificateId"])
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAListLagOfSomeNames(t *testing.T) {
	t.Parallel()
	s, c, clock := newTestServer(t, Options{})
	s.Inject(Fault{Kind: FaultListLag, NameContains: "slow", Delay: time.Minute})
	c.upload("slow", issueFor("a.example.com"))
	c.upload("fast", issueFor("a.example.com"))
	got := [][]string{names(c.list(nil))}
	clock.advance(time.Minute)
	got = append(got, names(c.list(nil)))
	if diff := cmp.Diff([][]string{{"fast"}, {"fast", "slow"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAConnectionIsResetOnTheWire(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			s, c, _ := newTestServer(t, Options{})
			s.Inject(Fault{Kind: FaultReset, AfterCommit: after})
			server := httptest.NewUnstartedServer(s.Handler(RegionChina))
			server.EnableHTTP2 = secure
			if secure {
				server.StartTLS()
			} else {
				server.Start()
			}
			p, pair := c.common("UploadUserCertificate"), issueFor("a.example.com")
			p["Name"], p["Cert"], p["Key"] = "web", pair.cert, pair.key
			p["Signature"] = testSign(http.MethodPost, testSecret, p)
			response, err := server.Client().PostForm(server.URL, form(p))
			if err == nil {
				_, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			server.Close()
			if err == nil {
				t.Errorf("TLS %t: an answer came", secure)
			}
			call := s.Journal()[0]
			want := Call{Number: 1, Account: testAccount, Region: RegionChina, Action: "UploadUserCertificate", Name: "web", Committed: after, Faults: []FaultKind{FaultReset}}
			if diff := cmp.Diff(want, call, cmpopts.IgnoreFields(Call{}, "Received", "Decided", "Finished", "CertID")); diff != "" {
				t.Errorf("TLS %t: journal: %s", secure, diff)
			}
		}
	}
}

// post sends an upload in its own goroutine and returns when it was answered, or
// given up.
func postUpload(c *client, request *http.Request) (status int, err error) {
	defer func() {
		if v := recover(); v != nil {
			cause, ok := v.(error)
			if !ok || !errors.Is(cause, http.ErrAbortHandler) {
				panic(v)
			}
			err = cause
		}
	}()
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, request)
	return recorder.Code, nil
}

func TestAHangEndsWhenTheClientGivesUpOrTheServerCloses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault     Fault
		close     bool
		ends      time.Duration
		committed bool
	}{
		"before the commit":       {Fault{Kind: FaultHang}, false, 5 * time.Second, false},
		"after the commit":        {Fault{Kind: FaultHang, AfterCommit: true}, false, 5 * time.Second, true},
		"until the server closes": {Fault{Kind: FaultHang}, true, 3 * time.Second, false},
		"for a time":              {Fault{Kind: FaultHang, Delay: 2 * time.Second}, false, 2 * time.Second, false},
	}
	p := issueFor("a.example.com")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				// The bubble begins in the year 2000, before the certificate does.
				time.Sleep(time.Until(epoch))
				s, c, _ := newTestServer(t, Options{Clock: systemClock{}})
				s.Inject(test.fault)
				if test.close {
					time.AfterFunc(3*time.Second, s.Close)
				}
				request := signedUpload(t, c, p, 5*time.Second)
				_, err := postUpload(c, request)
				if !errors.Is(err, http.ErrAbortHandler) {
					t.Errorf("an answer came: %v", err)
				}
				call := s.Journal()[0]
				if took := call.Finished.Sub(call.Received); took != test.ends || call.Committed != test.committed {
					t.Errorf("took %s, committed %t; want %s, %t", took, call.Committed, test.ends, test.committed)
				}
			})
		})
	}
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	p := issueFor("a.example.com")
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(epoch))
		s, c, _ := newTestServer(t, Options{
			Clock:         systemClock{},
			LatencyBefore: Latency{Base: time.Second, Jitter: 200 * time.Millisecond},
			LatencyAfter:  Latency{Base: 3 * time.Second},
		})
		// The client gives up after half a second; the request is on its way.
		if status, err := postUpload(c, signedUpload(t, c, p, 500*time.Millisecond)); status != http.StatusOK || err != nil {
			t.Fatalf("answer %d, %v", status, err)
		}
		call := s.Journal()[0]
		before, after := call.Decided.Sub(call.Received), call.Finished.Sub(call.Decided)
		if before < 800*time.Millisecond || before > 1200*time.Millisecond || before == time.Second {
			t.Errorf("%s before the commit, want 1 s ± 0.2 s", before)
		}
		if after != 3*time.Second {
			t.Errorf("%s after the commit, want 3 s", after)
		}
		if !call.Committed {
			t.Error("a request on its way did not take effect")
		}
	})
}
