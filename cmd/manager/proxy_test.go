// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCleanProxies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env, set map[string]string
		refused  string
	}{
		"none":                       {},
		"a URL":                      {env: map[string]string{"HTTPS_PROXY": "http://proxy.example.com:3128"}},
		"a host and port":            {env: map[string]string{"https_proxy": "proxy.example.com:3128"}},
		"a user and a password":      {env: map[string]string{"HTTPS_PROXY": "http://me:secret@proxy.example.com:3128"}},
		"the end of a line":          {env: map[string]string{"HTTPS_PROXY": "http://proxy:3128\n"}, set: map[string]string{"HTTPS_PROXY": "http://proxy:3128"}},
		"white space in NO_PROXY":    {env: map[string]string{"NO_PROXY": " 10.0.0.0/8 "}, set: map[string]string{"NO_PROXY": "10.0.0.0/8"}},
		"white space and no more":    {env: map[string]string{"HTTP_PROXY": "\n"}, set: map[string]string{"HTTP_PROXY": ""}},
		"a password that is no URL":  {env: map[string]string{"HTTPS_PROXY": "http://me:sec%ret@proxy:3128"}, refused: "HTTPS_PROXY"},
		"a scheme that is not known": {env: map[string]string{"http_proxy": "ftp://proxy:3128"}, refused: "http_proxy"},
		"no host":                    {env: map[string]string{"HTTPS_PROXY": "http://:3128"}, refused: "HTTPS_PROXY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var set map[string]string
			err := cleanProxies(func(key string) string { return tc.env[key] }, func(key, value string) error {
				if set == nil {
					set = map[string]string{}
				}
				set[key] = value
				return nil
			})
			if diff := cmp.Diff(tc.set, set); diff != "" {
				t.Error(diff)
			}
			if (err != nil) != (tc.refused != "") || err != nil && (!strings.HasPrefix(err.Error(), tc.refused+" ") || strings.Contains(err.Error(), "sec%ret")) {
				t.Errorf("error %v, want one about %q", err, tc.refused)
			}
		})
	}
}
