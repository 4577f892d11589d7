// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// hostName is what clients compare a DNS name with: labels of letters, digits,
// hyphens and, though no standard allows them, underscores; a wildcard stands for
// the whole first label.
var hostName = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}$`)

// isHost reports whether a client can find its host in a DNS name.
func isHost(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && len(name) <= maxDNSName && hostName.MatchString(name)
}

// hostsOf returns the names of a certificate's hosts, sorted: the alternative
// names, or a common name that can be one.
func hostsOf(c *certificate) []string {
	hosts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	if name := c.Subject.CommonName; len(hosts) == 0 && strings.Contains(name, ".") && isHost(name) {
		hosts = append(hosts, name)
	}
	for i := range hosts {
		hosts[i] = strings.ToLower(hosts[i])
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
