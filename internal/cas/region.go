// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The regions of CAS (its pages also call them sites), at which the
// certificates of all regions live (F31).
const (
	// RegionChina is the region of China.
	RegionChina = "cn-hangzhou"
	// RegionInternational is the region of the rest of the world.
	RegionInternational = "ap-southeast-1"
)

// builtinEndpoints are the public endpoints (F31). The SDK's own resolver knows
// hosts that do not exist, and the host of China for regions elsewhere (F32).
var builtinEndpoints = map[string]string{
	RegionChina:         "https://cas.aliyuncs.com",
	RegionInternational: "https://cas.ap-southeast-1.aliyuncs.com",
}

// Regions returns the regions that can be used, sorted.
func Regions() []string { return []string{RegionInternational, RegionChina} }

// ParseEndpoint parses a flag "[region=]URL". The region is empty where the
// flag has none. The URL is https, or http on a loopback address, and is a host
// with an optional port: it has no user, path, query or fragment.
func ParseEndpoint(flag string) (region, endpoint string, err error) {
	region, rest, found := strings.Cut(flag, "=")
	if !found || strings.Contains(region, "/") {
		region, rest = "", flag
	} else if !slices.Contains(Regions(), region) {
		return "", "", fmt.Errorf("unknown region %q: use one of %s", region, strings.Join(Regions(), ", "))
	}
	endpoint, err = alibaba.CheckEndpoint(rest)
	if err != nil {
		return "", "", err
	}
	return region, endpoint, nil
}

// CertIdentifier returns the identifier by which other products (ALB, NLB, WAF,
// OSS, GA) refer to a certificate: its id and the region that it lives in.
func CertIdentifier(certID int64, region string) string {
	return strconv.FormatInt(certID, 10) + "-" + region
}
