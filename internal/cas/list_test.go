// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
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
	got, err := client.ListPage(t.Context(), inventory.Query{Status: statusExpired, Keyword: "a.example", Page: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := inventory.Page{Total: 3, Unreadable: 2, Certificates: []inventory.Certificate{
		{
			CertID: 7, ResourceID: "cas-upload-1", Name: "shop", SHA256: strings.Repeat("cd", 32),
			NotAfter: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC),
		},
		{CertID: 8, Name: "17", Row: 1},
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

// Nobody of us has such names; the cloud may show any.
func TestFieldsOfAListAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 100_000)
	server := newCloudServer(t, reply(200, `{"TotalCount":1,"CertificateOrderList":[{"CertificateId":7,"Name":"`+long+`","InstanceId":"`+long+`","Sha2":"`+long+`","EndDate":"`+long+`"}]}`))
	client, _ := newTestClient(t, server.URL)
	got, err := client.ListPage(t.Context(), inventory.Query{Page: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := inventory.Page{Total: 1, Certificates: []inventory.Certificate{{CertID: 7}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
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
			if page, err := client.ListPage(t.Context(), inventory.Query{Page: 1}); err == nil || alibaba.ClassOf(err) != alibaba.Transient {
				t.Errorf("got %v, %v", page, err)
			}
		})
	}
}

func TestALookUpSaysThatListingIsDenied(t *testing.T) {
	t.Parallel()
	client, _ := newTestClient(t, newCloudServer(t, reply(403, `{"Code":"NoPermission"}`)).URL)
	_, err := find(t, client, "a", func(inventory.Entry) bool { return true })
	if !alibaba.IsDenied(err) || !strings.Contains(err.Error(), "yundun-cert:ListUserCertificateOrder") {
		t.Errorf("got %v", err)
	}
}
