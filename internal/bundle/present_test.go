// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"strings"
	"testing"
)

func TestMessagesNameNoKeysThatAreNoCertificates(t *testing.T) {
	t.Parallel()
	d := at.Simple()(t)
	for name, tc := range map[string]struct {
		data data
		want string
	}{
		"by their names":    {data{"postgres-admin-password": []byte("x"), "tls.crt": d["tls.crt"], "old.KEY": []byte("x")}, "the Secret has old.KEY, tls.crt:"},
		"by their content":  {data{"chain": d["tls.crt"], "private": d["tls.key"], "token": []byte("x")}, "the Secret has chain:"},
		"if there are none": {data{"postgres-admin-password": []byte("x")}, "the Secret has no key that looks like a certificate's:"},
		"of an empty one":   {nil, "the Secret has no keys:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(secretOf(tc.data), Options{Keys: Keys{Certificate: "a.crt"}, Now: testNow})
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != KindMissing || !strings.Contains(e.Error(), tc.want) || strings.Contains(e.Error(), "postgres") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
