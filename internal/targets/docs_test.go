// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var permissionInText = regexp.MustCompile("[`\"]([a-z-]+:[A-Z][A-Za-z]+)[`\"]")

// The section of each product names the permissions that it needs, and no other.
func TestTheWorkedPageNamesThePermissionsOfEachProduct(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/binding.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[Product]string{}
	for section := range strings.SplitSeq(string(page), "\n## ") {
		heading, text, _ := strings.Cut(section, "\n")
		for name := range strings.SplitSeq(heading, " and ") {
			if name, ok := strings.CutPrefix(name, "`"); ok {
				sections[Product(strings.ToLower(strings.TrimSuffix(name, "`")))] = text
			}
		}
	}
	for _, name := range Names() {
		text, ok := sections[name]
		if !ok {
			t.Errorf("%s has no section", name)
			continue
		}
		if diff := cmp.Diff(permissions(table[name]), named(text, prefixes(table[name])...)); diff != "" {
			t.Errorf("%s (-needed +named):\n%s", name, diff)
		}
	}
	for name, text := range sections {
		switch {
		case name == Service:
			if got := named(text, "slb"); !slices.Equal(got, storePermissions) {
				t.Errorf("%s names the permissions %v, want those of a store, %v", name, got, storePermissions)
			}
		case name != ConfigMap && name != ALBConfig && table[name] == nil:
			t.Errorf("%s has a section and is not built", name)
		}
	}
}

// storePermissions are what a Store needs.
var storePermissions = []string{"slb:" + string(clbDelete), "slb:" + string(clbStore), "slb:" + string(clbImport)}

// prefixes are what stands before the colon of the permissions that a product needs.
func prefixes(p *product) []string {
	all := []string{p.permission}
	for _, right := range p.rights {
		prefix, _, _ := strings.Cut(right, ":")
		all = append(all, prefix)
	}
	return all
}

// named are the permissions of a product that a section names, sorted: it may be of two products.
func named(text string, prefixes ...string) []string {
	var all []string
	for _, match := range permissionInText.FindAllStringSubmatch(text, -1) {
		if prefix, _, _ := strings.Cut(match[1], ":"); slices.Contains(prefixes, prefix) {
			all = append(all, match[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// permissions are the RAM actions that a product needs, sorted.
func permissions(p *product) []string {
	all := slices.Clone(p.rights)
	for action := range p.rates {
		all = append(all, p.permission+":"+string(action))
	}
	slices.Sort(all)
	return all
}
