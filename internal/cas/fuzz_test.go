// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
)

// FuzzDecode decodes any answer as each of those of CAS.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `"a"`, `<html>`, `{"CertId":12345,"RequestId":"BDB8","ResourceId":"cas-upload-xki1d0"}`,
		`{"Code":400}`, `{"Code":"NameRepeat","Message":["a"]}`, `{"CertId":"1e3"}`, `{"CertId":-1}`,
		`{"TotalCount":1,"CertificateOrderList":[{"CertificateId":1,"Sha2":"AB","SerialNo":"0001","EndDate":"2027-01-02"}]}`,
		`{"TotalCount":1,"CertificateOrderList":[null,{"Sans":{}}]}`,
	} {
		f.Add(200, []byte(seed))
		f.Add(400, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		client := answeringClient(t, status, string(body))
		check := func(err error) {
			e, ok := errors.AsType[*alibaba.Error](err)
			if err != nil && (!ok || e.Class == alibaba.Transient && status == 200 && e.Code == "" && !e.MayHaveHappened) {
				t.Errorf("error %+v", err)
			}
		}
		uploaded, err := client.Upload(t.Context(), nil, testUpload())
		check(err)
		if err == nil && (uploaded.CertID <= 0 || status != 200) {
			t.Errorf("certificate %d with status %d", uploaded.CertID, status)
		}
		page, err := client.ListPage(t.Context(), inventory.Query{Page: 1})
		check(err)
		for _, c := range page.Certificates {
			if _, err := hex.DecodeString(c.SHA256); err != nil || len(c.SHA256) != 0 && len(c.SHA256) != 64 {
				t.Errorf("digest %q", c.SHA256)
			}
		}
		check(client.Delete(t.Context(), 1))
	})
}
