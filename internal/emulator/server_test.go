// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnUploadIsListedShownAndDeleted(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	id := c.upload("web_1", issueFor("a.example.com"))

	held := s.Certificates(testAccount, RegionChina)
	if len(held) != 1 || held[0].CertID != id || held[0].Name != "web_1" {
		t.Fatalf("the cloud holds %+v", held)
	}
	entries := c.list(nil)
	if len(entries) != 1 {
		t.Fatalf("%d entries, want 1", len(entries))
	}
	e, h := entries[0], held[0]
	want := map[string]any{
		"CertificateId": float64(id), "Name": "web_1", "InstanceId": h.ResourceID, "CommonName": "a.example.com",
		"Sans": "a.example.com,www.a.example.com", "Sha2": h.SHA256, "Fingerprint": h.SHA1, "SerialNo": h.SerialNumber,
		"Issuer": "Test Intermediate", "StartDate": "2026-05-06", "EndDate": "2026-08-04",
		"Expired": false, "Upload": true, "OrgName": "Example", "ResourceGroupId": "",
	}
	// No Status, Algorithm, CertStartTime or CertEndTime: uploads have none.
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	detail := c.call("GetCertificateDetail", map[string]string{"CertificateId": formatID(id)})
	if got := detail.fields["CertIdentifier"]; got != formatID(id)+"-cn-hangzhou" {
		t.Errorf("CertIdentifier is %v", got)
	}
	if r := c.call("DeleteUserCertificate", map[string]string{"CertId": formatID(id)}); r.status != http.StatusOK {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	if r := c.call("DeleteUserCertificate", map[string]string{"CertId": formatID(id)}); r.status != http.StatusBadRequest || r.code() != "NotFound" {
		t.Errorf("second delete: %d %s, want 400 NotFound", r.status, r.code())
	}
	c.upload("web_1", issueFor("a.example.com"))
	var deleted []Call
	for _, call := range s.Journal() {
		if call.Action == "DeleteUserCertificate" {
			deleted = append(deleted, Call{Name: call.Name, CertID: call.CertID, Code: call.Code, Committed: call.Committed})
		}
	}
	if diff := cmp.Diff([]Call{{Name: "web_1", CertID: id, Committed: true}, {Code: "NotFound"}}, deleted); diff != "" {
		t.Errorf("deletions in the journal: %s", diff)
	}
}

func TestTheLimitHoldsInEverySlidingSecond(t *testing.T) {
	t.Parallel()
	s, c, clock := newTestServer(t, Options{})
	// Ten lists spread over 0.9 s are all that the second has; nothing is let
	// through before the first of them is a second old.
	for range 10 {
		c.list(nil)
		clock.advance(90 * time.Millisecond)
	}
	clock.advance(99 * time.Millisecond)
	r := c.call("ListUserCertificateOrder", map[string]string{"OrderType": "UPLOAD"})
	if r.status != http.StatusBadRequest || r.code() != "Throttling.User" {
		t.Fatalf("the eleventh call after 0.999 s: %d %s", r.status, r.code())
	}
	if got := r.header.Get("X-Ratelimit-User-Api"); got != fmt.Sprintf("Limit:10,Remain:0,TimeLeft:1,Reset:%d", epoch.Add(time.Second).UnixMilli()) {
		t.Errorf("x-ratelimit-user-api is %q", got)
	}
	clock.advance(time.Millisecond)
	c.list(nil)
	if got := s.Counters()[0]; got.Calls != 12 || got.MaxPerSecond != 11 || got.Outcomes["OK"] != 11 || got.Outcomes["Throttling.User"] != 1 {
		t.Errorf("counted %+v", got)
	}
}

func TestEachActionHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	_, c, _ := newTestServer(t, Options{UploadLimit: 1, DeleteLimit: -1})
	c.upload("a", issueFor("a.example.com"))
	p := issueFor("a.example.com")
	if r := c.call("UploadUserCertificate", map[string]string{"Name": "b", "Cert": p.cert, "Key": p.key}); r.code() != "Throttling.User" {
		t.Errorf("second upload: %s", r.body)
	}
	for range 200 {
		if r := c.call("DeleteUserCertificate", map[string]string{"CertId": "1"}); r.code() != "NotFound" {
			t.Fatalf("delete without a limit: %s", r.code())
		}
	}
	c.list(nil)
}
