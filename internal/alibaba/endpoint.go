// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// CheckEndpoint returns the URL of an endpoint without a closing slash. It is https, or
// http on a loopback address, and is a host with an optional port. The errors do not
// repeat the URL, which may hold a password.
func CheckEndpoint(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("the endpoint is no URL")
	}
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("the endpoint must begin with https:// (or http:// on a loopback address)")
	case host == "":
		return "", errors.New("the endpoint has no host")
	case u.User != nil:
		return "", errors.New("the endpoint must not hold a user or password")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("the endpoint must not have a path, query or fragment")
	case u.Scheme == "http" && !isLoopback(host):
		return "", fmt.Errorf("http is for loopback addresses alone: use https for %s", host)
	}
	return u.Scheme + "://" + u.Host, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
