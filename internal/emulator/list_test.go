// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhichCertificatesAListShows(t *testing.T) {
	t.Parallel()
	s, c, clock := newTestServer(t, Options{ListLimit: -1})
	short := leafFor("short.example.com")
	short.NotAfter = epoch.AddDate(0, 0, 20)
	c.upload("old", issue(short))
	long := leafFor("Long.example.org")
	long.NotAfter = epoch.AddDate(2, 0, 0)
	c.upload("long", issue(long))
	soon := leafFor("soon.example.com")
	soon.NotAfter = epoch.AddDate(0, 0, 45)
	c.upload("soon", issue(soon))
	if _, err := s.AddForeign(testAccount, RegionChina, Foreign{Name: "hidden", PEM: issue(long).cert, Hidden: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddForeign(testAccount, RegionChina, Foreign{Name: "grouped", PEM: issue(long).cert, ResourceGroupID: "rg-a"}); err != nil {
		t.Fatal(err)
	}
	clock.advance(21 * 24 * time.Hour)
	resource := s.Certificates(testAccount, RegionChina)[1].ResourceID

	tests := map[string]struct {
		parameters map[string]string
		want       []string
	}{
		"current ones by default, newest first": {nil, []string{"grouped", "soon", "long"}},
		"issued ones":                           {map[string]string{"Status": "ISSUED"}, []string{"grouped", "long"}},
		"those that expire soon":                {map[string]string{"Status": "WILLEXPIRED"}, []string{"soon"}},
		"expired ones":                          {map[string]string{"Status": "EXPIRED"}, []string{"old"}},
		"no revoked ones":                       {map[string]string{"Status": "REVOKED"}, []string{}},
		"a status of orders":                    {map[string]string{"Status": "PAYED"}, []string{}}, //nolint:misspell // the cloud spells it so
		"a part of a domain, in any case":       {map[string]string{"Keyword": "LONG.EXAMPLE"}, []string{"grouped", "long"}},
		"an alternative name":                   {map[string]string{"Keyword": "www.soon"}, []string{"soon"}},
		"a resource id":                         {map[string]string{"Keyword": resource}, []string{"long"}},
		"all of a resource id's kind, in pages": {map[string]string{"Keyword": "cas-upload-", "ShowSize": "500"}, []string{"grouped", "soon", "long"}},
		"organizations are not searched":        {map[string]string{"Keyword": "Example Org"}, []string{}},
		"issuers are not searched":              {map[string]string{"Keyword": "Intermediate"}, []string{}},
		"names are not searched":                {map[string]string{"Keyword": "grouped"}, []string{}},
		"one resource group":                    {map[string]string{"ResourceGroupId": "rg-a"}, []string{"grouped"}},
		"no certificates without an order type": {map[string]string{"OrderType": ""}, []string{}},
		"no certificates among bought orders":   {map[string]string{"OrderType": "BUY"}, []string{}},
		"a page":                                {map[string]string{"ShowSize": "1", "CurrentPage": "2"}, []string{"soon"}},
		"a page behind the last":                {map[string]string{"ShowSize": "2", "CurrentPage": "3"}, []string{}},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.want, names(c.list(test.parameters))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name, parameters := range map[string]map[string]string{
		"an unknown status":     {"Status": "VALID"},
		"an unknown order type": {"OrderType": "upload"},
		"page 0":                {"CurrentPage": "0"},
		"a page without number": {"CurrentPage": "x"},
		"too large a page":      {"ShowSize": "501"},
		"an empty page":         {"ShowSize": "0"},
		"an unknown parameter":  {"PageSize": "50"},
	} {
		if r := c.call("ListUserCertificateOrder", parameters); r.status != http.StatusBadRequest || r.code() != "InvalidParameter" {
			t.Errorf("%s: %d %s", name, r.status, r.code())
		}
	}
}

func TestAListOfRevokedUploads(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		unknowns  Unknowns
		orderType string
		code      string
		want      []string
	}{
		"is empty by default":                  {Unknowns{}, "UPLOAD", "", []string{}},
		"shows current ones where it is none":  {Unknowns{RevokedUploads: RevokedIgnored}, "UPLOAD", "", []string{"web"}},
		"is refused where it is":               {Unknowns{RevokedUploads: RevokedRefused}, "UPLOAD", "InvalidParameter", []string{}},
		"is refused with any code":             {Unknowns{RevokedUploads: RevokedRefused, RevokedUploadsCode: "Never.Seen"}, "UPLOAD", "Never.Seen", []string{}},
		"is refused for uploads alone":         {Unknowns{RevokedUploads: RevokedRefused}, "CPACK", "", []string{}},
		"has no uploads among the other types": {Unknowns{RevokedUploads: RevokedIgnored}, "CERT", "", []string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, _ := newTestServer(t, Options{Unknowns: test.unknowns})
			c.upload("web", issueFor("a.example.com"))
			r := c.call("ListUserCertificateOrder", map[string]string{"OrderType": test.orderType, "Status": "REVOKED"})
			if r.code() != test.code || r.code() != "" && r.status != http.StatusBadRequest {
				t.Fatalf("answer %d %q, want %q", r.status, r.code(), test.code)
			}
			if diff := cmp.Diff(test.want, names(r.entries())); diff != "" {
				t.Error(diff)
			}
			if got := names(c.list(map[string]string{"Status": "EXPIRED"})); len(got) != 0 {
				t.Errorf("expired ones: %v", got)
			}
		})
	}
}

func TestPagesHoldEveryCertificateOnce(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{ListLimit: -1})
	p := issueFor("a.example.com")
	for n := range 120 {
		if _, err := s.AddForeign(testAccount, RegionChina, Foreign{Name: fmt.Sprintf("n%03d", n), PEM: p.cert}); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	for _, page := range []string{"1", "2", "3"} {
		r := c.call("ListUserCertificateOrder", map[string]string{"OrderType": "UPLOAD", "CurrentPage": page})
		if r.fields["TotalCount"] != 120.0 || r.fields["ShowSize"] != 50.0 {
			t.Errorf("page %s: TotalCount %v, ShowSize %v", page, r.fields["TotalCount"], r.fields["ShowSize"])
		}
		all = append(all, names(c.list(map[string]string{"CurrentPage": page}))...)
	}
	slices.Sort(all)
	if len(all) != 120 || len(slices.Compact(all)) != 120 {
		t.Errorf("%d names on three pages", len(all))
	}
}

func TestPagesMoveWithTheList(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		oldestFirst bool
		before      []string
		afterwards  []string
	}{
		"newest first":             {false, []string{"n4", "n3"}, []string{"n3", "n2"}},
		"oldest first where asked": {true, []string{"n0", "n1"}, []string{"n3", "n4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := newTestServer(t, Options{ListLimit: -1, Unknowns: Unknowns{ListOldestFirst: test.oldestFirst}})
			p := issueFor("a.example.com")
			add := func(name string) {
				if _, err := s.AddForeign(testAccount, RegionChina, Foreign{Name: name, PEM: p.cert}); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 5 {
				add(fmt.Sprintf("n%d", n))
			}
			if diff := cmp.Diff(test.before, names(c.list(map[string]string{"ShowSize": "2", "CurrentPage": "1"}))); diff != "" {
				t.Error(diff)
			}
			s.DeleteOutOfBand(testAccount, RegionChina, s.Certificates(testAccount, RegionChina)[0].CertID)
			add("n5")
			if diff := cmp.Diff(test.afterwards, names(c.list(map[string]string{"ShowSize": "2", "CurrentPage": "2"}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeywordsWithWildcards(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		without bool
		keyword string
		want    []string
	}{
		"the * of a domain":                            {false, "*.example.com", []string{"wild"}},
		"the rest of a domain":                         {false, ".example.com", []string{"web", "wild"}},
		"a * stands for no other name":                 {false, "web.*", []string{}},
		"a name under a * does not find it":            {false, "probe.example.com", []string{}},
		"a * where it finds nothing":                   {true, "*.example.com", []string{}},
		"a * beside a resource id where it is so too":  {true, "cas-upload-*", []string{}},
		"the rest of a domain where a * finds nothing": {true, ".example.com", []string{"web", "wild"}},
	} {
		_, c, _ := newTestServer(t, Options{Unknowns: Unknowns{KeywordWithoutWildcards: test.without}})
		wild := leafFor("example.com")
		wild.Subject.CommonName, wild.DNSNames = "", []string{"*.example.com"}
		c.upload("wild", issue(wild))
		c.upload("web", issueFor("web.example.com"))
		if diff := cmp.Diff(test.want, names(c.list(map[string]string{"Keyword": test.keyword}))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestUploadsShowInListsAfterTheLag(t *testing.T) {
	t.Parallel()
	_, c, clock := newTestServer(t, Options{ListLag: time.Minute})
	c.upload("web", issueFor("a.example.com"))
	clock.advance(time.Minute - 1)
	if got := names(c.list(nil)); len(got) != 0 {
		t.Errorf("before the lag has passed: %v", got)
	}
	clock.advance(1)
	if diff := cmp.Diff([]string{"web"}, names(c.list(nil))); diff != "" {
		t.Error(diff)
	}
}

func TestLimitsCountByRegionUnlessShared(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		unknowns Unknowns
		want     string
	}{
		"each region by itself":             {Unknowns{}, ""},
		"both together where they share it": {Unknowns{LimitsSharedAcrossRegions: true}, "Throttling.User"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := newTestServer(t, Options{ListLimit: 1, Unknowns: test.unknowns})
			c.list(nil)
			if r := c.at(s, RegionInternational).call("ListUserCertificateOrder", nil); r.code() != test.want {
				t.Errorf("at the other region: %q, want %q", r.code(), test.want)
			}
		})
	}
}

func TestThrottledCallsCountOnlyWhereTheyDo(t *testing.T) {
	t.Parallel()
	for _, counted := range []bool{false, true} {
		_, c, clock := newTestServer(t, Options{ListLimit: 1, Unknowns: Unknowns{CountThrottled: counted}})
		c.list(nil)
		clock.advance(600 * time.Millisecond)
		if r := c.call("ListUserCertificateOrder", nil); r.code() != "Throttling.User" {
			t.Fatalf("second call: %q", r.code())
		}
		clock.advance(600 * time.Millisecond)
		want := ""
		if counted {
			want = "Throttling.User"
		}
		if r := c.call("ListUserCertificateOrder", nil); r.code() != want {
			t.Errorf("counted %t: %q, want %q", counted, r.code(), want)
		}
	}
}

func TestAccountsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{ListLimit: 1, Accounts: []Account{
		{ID: testAccount, AccessKeyID: testKeyID, AccessKeySecret: testSecret},
		{ID: testAccount, AccessKeyID: "LTAIsecondKey", AccessKeySecret: "second"},
		{ID: otherID, AccessKeyID: "LTAIother", AccessKeySecret: "other"},
	}})
	p := issueFor("a.example.com")
	c.upload("web", p)
	second, other := *c, *c
	second.id, second.secret = "LTAIsecondKey", "second"
	other.id, other.secret = "LTAIother", "other"
	if got := names(second.list(nil)); len(got) != 1 {
		t.Errorf("the second key of the account sees %v", got)
	}
	if r := c.call("ListUserCertificateOrder", nil); r.code() != "Throttling.User" {
		t.Errorf("the keys of an account do not share its limit: %q", r.code())
	}
	if got := names(other.list(nil)); len(got) != 0 {
		t.Errorf("the other account sees %v", got)
	}
	other.upload("web", p)
	if len(s.Certificates(testAccount, RegionChina)) != 1 || len(s.Certificates(otherID, RegionChina)) != 1 {
		t.Error("the accounts do not hold one certificate each")
	}
}
