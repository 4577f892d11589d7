// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"math"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	type result struct{ region, endpoint string }
	for name, tc := range map[string]struct {
		flag string
		want result // empty: an error
	}{
		"a URL":                           {"https://cas.example.com", result{"", "https://cas.example.com"}},
		"a URL with a slash":              {"https://cas.example.com/", result{"", "https://cas.example.com"}},
		"a port":                          {"https://cas.example.com:8443", result{"", "https://cas.example.com:8443"}},
		"a region":                        {"ap-southeast-1=https://cas.example.com", result{RegionInternational, "https://cas.example.com"}},
		"http on an address of loopback":  {"cn-hangzhou=http://127.0.0.1:8080", result{RegionChina, "http://127.0.0.1:8080"}},
		"http on another one":             {"http://127.8.7.6", result{"", "http://127.8.7.6"}},
		"http on IPv6's":                  {"http://[::1]:80", result{"", "http://[::1]:80"}},
		"http on localhost":               {"http://localhost:1", result{"", "http://localhost:1"}},
		"http elsewhere":                  {"http://cas.aliyuncs.com", result{}},
		"http on a name like localhost":   {"http://localhost.example.com", result{}},
		"http on a name like an address":  {"http://127.0.0.1.example.com", result{}},
		"http on the unspecified address": {"http://0.0.0.0:80", result{}},
		"another region":                  {"eu-central-1=https://cas.example.com", result{}},
		"an empty region":                 {"=https://cas.example.com", result{}},
		"another scheme":                  {"ftp://cas.example.com", result{}},
		"no scheme":                       {"cas.example.com", result{}},
		"no host":                         {"https://", result{}},
		"a path":                          {"https://cas.example.com/api", result{}},
		"a query":                         {"https://cas.example.com/?a=b", result{}},
		"an empty query":                  {"https://cas.example.com/?", result{}},
		"a fragment":                      {"https://cas.example.com/#a", result{}},
		"a password":                      {"https://user:hunter2@cas.example.com", result{}},
		"nothing":                         {"", result{}},
		"no URL":                          {"https://[::1:hunter2", result{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			region, endpoint, err := ParseEndpoint(tc.flag)
			if (err != nil) != (tc.want == result{}) || (result{region, endpoint}) != tc.want {
				t.Errorf("got %q, %q, %v", region, endpoint, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	caller, err := alibaba.New(alibaba.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]Config{
		"http elsewhere":     {Endpoints: map[string]string{RegionChina: "http://cas.aliyuncs.com"}},
		"an unknown region":  {Endpoints: map[string]string{"cn-beijing": "https://cas.aliyuncs.com"}},
		"an empty region":    {Endpoints: map[string]string{"": "https://cas.aliyuncs.com"}},
		"a negative rate":    {UploadQPS: -1},
		"a rate of no value": {ListQPS: math.NaN()},
		"an endless rate":    {UploadQPS: math.Inf(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(caller, config); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestCertIdentifier(t *testing.T) {
	t.Parallel()
	if got := CertIdentifier(12345, RegionChina); got != "12345-cn-hangzhou" {
		t.Errorf("got %q", got)
	}
	if got := CertIdentifier(1, RegionInternational); got != "1-ap-southeast-1" {
		t.Errorf("got %q", got)
	}
}
