// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"net/http"
	"strings"
	"testing"
)

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		raw  string
		want string // empty: an error
	}{
		"a URL":                           {"https://cas.example.com", "https://cas.example.com"},
		"a URL with a slash":              {"https://cas.example.com/", "https://cas.example.com"},
		"a port":                          {"https://cas.example.com:8443", "https://cas.example.com:8443"},
		"http on an address of loopback":  {"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		"http on another one":             {"http://127.8.7.6", "http://127.8.7.6"},
		"http on IPv6's":                  {"http://[::1]:80", "http://[::1]:80"},
		"http on localhost":               {"http://localhost:1", "http://localhost:1"},
		"http elsewhere":                  {"http://cas.aliyuncs.com", ""},
		"http on a name like localhost":   {"http://localhost.example.com", ""},
		"http on a name like an address":  {"http://127.0.0.1.example.com", ""},
		"http on the unspecified address": {"http://0.0.0.0:80", ""},
		"another scheme":                  {"ftp://cas.example.com", ""},
		"no scheme":                       {"cas.example.com", ""},
		"no host":                         {"https://", ""},
		"a path":                          {"https://cas.example.com/api", ""},
		"a query":                         {"https://cas.example.com/?a=b", ""},
		"an empty query":                  {"https://cas.example.com/?", ""},
		"a fragment":                      {"https://cas.example.com/#a", ""},
		"a password":                      {"https://user:hunter2@cas.example.com", ""},
		"nothing":                         {"", ""},
		"no URL":                          {"https://[::1:hunter2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint, err := CheckEndpoint(tc.raw)
			if (err != nil) != (tc.want == "") || endpoint != tc.want {
				t.Errorf("got %q, %v", endpoint, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestNewRefusesHTTPForSTS(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{STSEndpoint: "http://sts.aliyuncs.com"}); err == nil {
		t.Error("no error")
	}
}

func TestLoopbackNeedsNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.invalid:3128")
	t.Setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
	transport, ok := newHTTPClient(nil).Transport.(*http.Transport)
	if !ok {
		t.Fatal("not our transport")
	}
	for url, direct := range map[string]bool{"http://127.0.0.1:80/": true, "http://[::1]/": true, "http://localhost/": true, "https://cas.aliyuncs.com/": false} {
		request, err := http.NewRequest(http.MethodPost, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		proxy, err := transport.Proxy(request)
		if err != nil || (proxy == nil) != direct {
			t.Errorf("%s goes by %v, %v", url, proxy, err)
		}
	}
}
