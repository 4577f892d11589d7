// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestListPage(t *testing.T) {
	t.Parallel()
	server := newCloudServer(t, reply(200, `{"RequestId":"R","TotalCount":3,"CurrentPage":2,"ShowSize":50,"CertificateOrderList":[
		{"CertificateId":7,"InstanceId":"cas-upload-1","Name":"shop","CommonName":"a.example","Sans":"a.example,b.example",
		 "Fingerprint":"`+strings.Repeat("AB", 20)+`","Sha2":"`+strings.Repeat("CD", 32)+`","SerialNo":"000Ab1","Issuer":"CA",
		 "StartDate":"2026-01-02","EndDate":"2027-01-02","Expired":false,"Upload":true,"ResourceGroupId":"rg-1","Status":"ISSUED"},
		{"CertificateId":"8","Sha2":"not a digest","Fingerprint":null,"EndDate":"soon","Expired":"true","Name":17},
		{"Name":"without an id"}, "no entry"]}`))
	client, _ := newTestClient(t, server.URL)
	got, err := client.ListPage(t.Context(), ListRequest{Status: StatusExpired, Keyword: "a.example", Page: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := ListPage{Total: 3, Page: 2, Unreadable: 2, RequestID: "R", Certificates: []Certificate{
		{
			CertID: 7, ResourceID: "cas-upload-1", Name: "shop", CommonName: "a.example", DNSNames: []string{"a.example", "b.example"},
			SHA1: strings.Repeat("ab", 20), SHA256: strings.Repeat("cd", 32), SerialNumber: "ab1", Issuer: "CA",
			NotBefore: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC),
			ResourceGroupID: "rg-1", Status: "ISSUED",
		},
		{CertID: 8, Name: "17", Expired: true, DNSNames: []string{}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	form := server.forms()[0]
	for name, want := range map[string]string{"OrderType": "UPLOAD", "Status": "EXPIRED", "Keyword": "a.example", "CurrentPage": "2", "ShowSize": "50"} {
		if form.Get(name) != want {
			t.Errorf("%s = %q", name, form.Get(name))
		}
	}
}

func TestListWithoutATotalIsNoList(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"an empty object":     `{}`,
		"a total of no value": `{"TotalCount":null}`,
		"a total of no count": `{"TotalCount":"many","CertificateOrderList":[]}`,
		"a negative total":    `{"TotalCount":-1,"CertificateOrderList":[]}`,
		"a list that is none": `{"TotalCount":1,"CertificateOrderList":"a"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := newTestClient(t, newCloudServer(t, reply(200, body)).URL)
			if page, err := client.ListPage(t.Context(), ListRequest{}); err == nil || ClassOf(err) != Transient {
				t.Errorf("got %v, %v", page, err)
			}
		})
	}
}

// library answers lists from certificates by status.
func library(byStatus map[string][]int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		all := byStatus[r.PostForm.Get("Status")]
		page, _ := strconv.Atoi(r.PostForm.Get("CurrentPage"))
		size, _ := strconv.Atoi(r.PostForm.Get("ShowSize"))
		var entries []string
		for _, id := range all[min(len(all), (page-1)*size):min(len(all), page*size)] {
			entries = append(entries, fmt.Sprintf(`{"CertificateId":%d}`, id))
		}
		_, _ = fmt.Fprintf(w, `{"TotalCount":%d,"CertificateOrderList":[%s]}`, len(all), strings.Join(entries, ","))
	}
}

func numbers(from, to int64) (all []int64) {
	for id := from; id <= to; id++ {
		all = append(all, id)
	}
	return all
}

func TestFind(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		byStatus map[string][]int64
		wanted   []int64
		found    []int64
		calls    int
		fails    bool
	}{
		"on the first page":              {map[string][]int64{"": {1, 2, 3}}, []int64{2}, []int64{2}, 1, false},
		"more than one":                  {map[string][]int64{"": {1, 2, 3}}, []int64{1, 3}, []int64{1, 3}, 1, false},
		"on the last of several pages":   {map[string][]int64{"": numbers(1, 120)}, []int64{120}, []int64{120}, 3, false},
		"a last page that is full":       {map[string][]int64{"": numbers(1, 100)}, []int64{100}, []int64{100}, 2, false},
		"seen twice as pages shift":      {map[string][]int64{"": append(numbers(1, 50), 50, 51)}, []int64{50}, []int64{50}, 2, false},
		"among the expired":              {map[string][]int64{"": {1}, "EXPIRED": {5}}, []int64{5}, []int64{5}, 2, false},
		"current ones before expired":    {map[string][]int64{"": {1}, "EXPIRED": {5}}, []int64{1, 5}, []int64{1}, 1, false},
		"nowhere":                        {map[string][]int64{"": {1}, "EXPIRED": {5}}, []int64{9}, nil, 2, false},
		"an empty account":               {nil, []int64{9}, nil, 2, false},
		"more pages than can be read":    {map[string][]int64{"": numbers(1, 2000)}, []int64{1999}, nil, maxPages, true},
		"a match before too many others": {map[string][]int64{"": numbers(1, 2000)}, []int64{7}, []int64{7}, maxPages, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, library(tc.byStatus))
			client, _ := newTestClient(t, server.URL)
			found, err := client.Find(t.Context(), "a.example", func(c Certificate) bool {
				for _, id := range tc.wanted {
					if c.CertID == id {
						return true
					}
				}
				return false
			})
			if (err != nil) != tc.fails {
				t.Fatalf("got %v", err)
			}
			var ids []int64
			for _, c := range found {
				ids = append(ids, c.CertID)
			}
			if diff := cmp.Diff(tc.found, ids); diff != "" {
				t.Error(diff)
			}
			forms := server.forms()
			if len(forms) != tc.calls {
				t.Errorf("%d calls, want %d", len(forms), tc.calls)
			}
			for _, form := range forms {
				if form.Get("Keyword") != "a.example" || form.Get("OrderType") != "UPLOAD" {
					t.Errorf("sent %v", form)
				}
			}
		})
	}
}

func TestFindTakesNoShortListForAbsence(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body  string
		found int
		fails bool
	}{
		"a list that is cut short":               {`{"TotalCount":2,"CertificateOrderList":[{"CertificateId":1}]}`, 0, true},
		"no list in spite of a count":            {`{"TotalCount":2}`, 0, true},
		"a match in a list that is cut short":    {`{"TotalCount":2,"CertificateOrderList":[{"CertificateId":7}]}`, 1, false},
		"an entry without an id":                 {`{"TotalCount":2,"CertificateOrderList":[{"CertificateId":1},{}]}`, 0, false},
		"entries that are none":                  {`{"TotalCount":4,"CertificateOrderList":[{"CertificateId":1},"a",null,[7]]}`, 0, false},
		"the same entry twice instead of two":    {`{"TotalCount":2,"CertificateOrderList":[{"CertificateId":1},{"CertificateId":1}]}`, 0, true},
		"more than the count, by one just added": {`{"TotalCount":1,"CertificateOrderList":[{"CertificateId":1},{"CertificateId":2}]}`, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := newTestClient(t, newCloudServer(t, reply(200, tc.body)).URL)
			found, err := client.Find(t.Context(), "a", func(c Certificate) bool { return c.CertID == 7 })
			if len(found) != tc.found || (err != nil) != tc.fails || ClassOf(err) != Transient {
				t.Errorf("got %v, %v", found, err)
			}
		})
	}
}

func TestFindSaysThatListingIsDenied(t *testing.T) {
	t.Parallel()
	client, _ := newTestClient(t, newCloudServer(t, reply(403, `{"Code":"NoPermission"}`)).URL)
	_, err := client.Find(t.Context(), "a", func(Certificate) bool { return true })
	if !IsDenied(err) || !strings.Contains(err.Error(), "yundun-cert:ListUserCertificateOrder") {
		t.Errorf("got %v", err)
	}
}
