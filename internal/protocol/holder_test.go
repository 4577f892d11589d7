// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import "testing"

// TestEveryBindingThatKeepsAVersionIsNamed: who wants it gone has to see to each of them, and the text
// is the same in whichever order a cache lists them.
func TestEveryBindingThatKeepsAVersionIsNamed(t *testing.T) {
	t.Parallel()
	users := func(names ...string) (holders []Holder) {
		for _, name := range names {
			holders = append(holders, Holder{Name: name, CertIDs: []int64{7, 8}})
		}
		return holders
	}
	unread := func(names ...string) (holders []Holder) {
		for _, name := range names {
			holders = append(holders, Holder{Name: name, Unread: true})
		}
		return holders
	}
	for name, tc := range map[string]struct {
		holders []Holder
		want    string
	}{
		"none":                       {nil, ""},
		"none that keeps this one":   {[]Holder{{Name: "a", CertIDs: []int64{8}}}, ""},
		"one":                        {users("a"), `CloudCertificateBinding "a" keeps it: its target uses it, or may come to; see its status`},
		"two":                        {users("b", "a"), `CloudCertificateBindings "a", "b" keep it: their targets use it, or may come to; see their status`},
		"many":                       {users("h", "g", "f", "e", "d", "c", "b", "a"), `CloudCertificateBindings "a", "b", "c", "d", "e", and 3 more keep it: their targets use it, or may come to; see their status`},
		"one that was not read yet":  {unread("a"), `the target of CloudCertificateBinding "a" was not read yet, and may use it; see why in its status, or delete it`},
		"two that were not read yet": {unread("b", "a"), `the targets of CloudCertificateBindings "a", "b" were not read yet, and may use it; see why in their status, or delete them`},
		"one that uses it, one unread": {append(unread("a"), users("b")...), `CloudCertificateBinding "b" keeps it: its target uses it, or may come to; see its status; ` +
			`the target of CloudCertificateBinding "a" was not read yet, and may use it; see why in its status, or delete it`},
	} {
		got := ""
		if err := HeldBy(tc.holders, 7); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}
