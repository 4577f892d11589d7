// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"slices"
	"strings"
)

// inLabels are the characters of a label of a DNS name: letters, digits, the hyphen
// and, though no standard allows it, the underscore.
const inLabels = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// isHost reports whether clients match a host with a DNS name: labels of 1 to 63
// characters that a hyphen neither begins nor ends, of which the last is no number, as
// in IP addresses. The first may be a wildcard, with two labels behind it at least. A
// certificate can have tens of thousands of names, so no regular expression is run for
// each.
func isHost(name string) bool {
	if len(name) > maxDNSName {
		return false
	}
	name, isWildcard := strings.CutPrefix(name, "*.")
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, inLabels) != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		last = label
	}
	return !isNumber(last) && (!isWildcard || last != name)
}

// isNumber reports whether browsers take a label for a part of an IPv4 address.
func isNumber(label string) bool {
	if hexadecimal, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		return strings.Trim(hexadecimal, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// warnHosts tells of a leaf in which clients find no host, or not all.
func (l *loader) warnHosts(crt string, leaf *certificate) {
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		problem := "has no subject alternative name: clients ignore the common name"
		if hasExtension(leaf, oidSubjectAltName) {
			problem = "has subject alternative names, but no DNS name or IP address: clients find no host in it"
		}
		l.warn(WarnNoSubjectAltName, crt, problem+"; issue it with DNS names")
	}
	if i := slices.IndexFunc(leaf.DNSNames, func(name string) bool { return !isHost(name) }); i >= 0 {
		l.warn(WarnUnusableName, crt, "has the DNS name "+quote(leaf.DNSNames[i])+", with which clients match no host: issue it with the plain host name, without scheme, port or path, and a wildcard for one label above two others; IP addresses have a type of their own")
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
