// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// proxyVariables are those by which net/http finds a proxy, with the schemes that it speaks.
var (
	proxyVariables = []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"}
	proxySchemes   = []string{"http", "https", "socks5", "socks5h"}
)

// cleanProxies trims the variables that name a proxy, as every other value from the environment
// is, and refuses a proxy that cannot be one: net/http goes without a proxy where it cannot read
// its address, and says nothing.
func cleanProxies(getenv func(string) string, setenv func(key, value string) error) error {
	for _, name := range append(slices.Clone(proxyVariables), "NO_PROXY", "no_proxy") {
		value := getenv(name)
		trimmed := strings.TrimSpace(value)
		if slices.Contains(proxyVariables, name) && trimmed != "" && !isProxy(trimmed) {
			return fmt.Errorf("%s is not the URL of a proxy: write it as http://host:port", name) // its value may hold a password
		}
		if trimmed == value {
			continue
		}
		if err := setenv(name, trimmed); err != nil {
			return fmt.Errorf("failed to trim %s: %w", name, err)
		}
	}
	return nil
}

// isProxy reports whether net/http takes an address for a proxy's: a URL, or a host and port.
func isProxy(address string) bool {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	return err == nil && u.Hostname() != "" && slices.Contains(proxySchemes, u.Scheme)
}
