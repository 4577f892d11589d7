// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The two sites of CAS. Certificates live per site, not per region.
const (
	// SiteChina is the site of China.
	SiteChina = "cn-hangzhou"
	// SiteInternational is the site of the rest of the world.
	SiteInternational = "ap-southeast-1"
)

// builtinEndpoints are the public endpoints (F31). The SDK's own resolver knows
// hosts that do not exist, and the host of China for regions elsewhere (F32).
var builtinEndpoints = map[string]string{
	SiteChina:         "https://cas.aliyuncs.com",
	SiteInternational: "https://cas.ap-southeast-1.aliyuncs.com",
}

const builtinSTSEndpoint = "https://sts.aliyuncs.com"

// Sites returns the regions that can be used, sorted.
func Sites() []string { return []string{SiteInternational, SiteChina} }

// ParseEndpoint parses a flag "[region=]URL". The region is empty where the
// flag has none. The URL is https, or http on a loopback address, and is a host
// with an optional port: it has no user, path, query or fragment.
func ParseEndpoint(flag string) (region, endpoint string, err error) {
	region, rest, found := strings.Cut(flag, "=")
	if !found || strings.Contains(region, "/") {
		region, rest = "", flag
	} else if !slices.Contains(Sites(), region) {
		return "", "", fmt.Errorf("unknown region %q: use one of %s", region, strings.Join(Sites(), ", "))
	}
	endpoint, err = checkEndpoint(rest)
	if err != nil {
		return "", "", err
	}
	return region, endpoint, nil
}

// checkEndpoint returns the URL without a closing slash. Its errors do not
// repeat the URL, which may hold a password.
func checkEndpoint(raw string) (string, error) {
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

// CertIdentifier returns the identifier by which other products (ALB, NLB, WAF,
// OSS, GA) refer to a certificate: its id and the site that it lives in.
func CertIdentifier(certID int64, region string) string {
	return strconv.FormatInt(certID, 10) + "-" + region
}
