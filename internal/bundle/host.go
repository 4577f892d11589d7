// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"net/netip"
	"slices"
	"strings"
)

// inLabels are the characters of a label of a DNS name: letters, digits, the hyphen
// and, though no standard allows it, the underscore.
const inLabels = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// isHost reports whether a client can find its host in a DNS name: labels of 1 to 63
// characters, of which the first may be a wildcard. A certificate can have tens of
// thousands of names, so no regular expression is run for each.
func isHost(name string) bool {
	if len(name) > maxDNSName {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(name, "*."), ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, inLabels) != "" {
			return false
		}
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

// warnHosts tells of a leaf in which clients find no host, or not all.
func (l *loader) warnHosts(crt string, leaf *certificate) {
	names := len(leaf.DNSNames) + len(leaf.IPAddresses)
	switch others := len(leaf.URIs) + len(leaf.EmailAddresses); {
	case names == 0 && others == 0:
		l.warn(WarnNoSubjectAltName, crt, "has no subject alternative name: clients ignore the common name; issue it with DNS names")
	case names == 0:
		l.warn(WarnNoSubjectAltName, crt, "has subject alternative names, but no DNS name or IP address: clients find no host in it; issue it with DNS names")
	}
	if i := slices.IndexFunc(leaf.DNSNames, func(name string) bool { return !isHost(name) }); i >= 0 {
		l.warn(WarnUnusableName, crt, "has the DNS name "+quote(leaf.DNSNames[i])+", which no host can match: issue it with the plain host name, without scheme, port or path; IP addresses have a type of their own")
	}
}

// hostsOf returns the hosts among a certificate's alternative names, sorted.
func hostsOf(c *certificate) []string {
	hosts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	for i := range hosts {
		hosts[i] = strings.ToLower(hosts[i])
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// isNamedAmong reports whether the common name of a certificate is one of hosts.
func isNamedAmong(c *certificate, hosts []string) bool {
	return slices.Contains(hosts, strings.ToLower(c.Subject.CommonName))
}
