// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

func TestMessagesNameNoKeysThatAreNoCertificates(t *testing.T) {
	t.Parallel()
	d := at.Simple()(t)
	for name, tc := range map[string]struct {
		data data
		want string
	}{
		"by their names":     {data{"postgres-admin-password": []byte("x"), "tls.crt": d["tls.crt"], "enc.key": []byte("x")}, "the Secret has enc.key, tls.crt:"},
		"of other key files": {data{"postgres-admin.key": d["tls.key"], "postgres.pem": []byte("x"), "postgres-jwt.p12": []byte("x"), "tls.key": d["tls.key"]}, "the Secret has tls.key:"},
		"of the spec":        {data{"postgres.key": []byte("x"), "b.key": []byte("x")}, "the Secret has b.key:"},
		"of a request":       {data{"postgres": bundletest.BlockPEM("CERTIFICATE REQUEST", []byte("x"))}, "the Secret has no key that looks"},
		"by their content":   {data{"chain": d["tls.crt"], "private": d["tls.key"], "token": []byte("x")}, "the Secret has chain:"},
		"if there are none":  {data{"postgres-admin-password": []byte("x")}, "the Secret has no key that looks like a certificate's:"},
		"of an empty one":    {nil, "the Secret has no keys:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(secretOf(tc.data), Options{Keys: Keys{Certificate: "a.crt", PrivateKey: "b.key"}, Now: testNow})
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != KindMissing || !strings.Contains(e.Error(), tc.want) || strings.Contains(e.Error(), "postgres") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
