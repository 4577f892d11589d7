// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every fact that a comment refers to by number stands once in docs/cas.md, or in
// docs/targets.md if it is one about the products that use certificates.
func TestEveryFactHasItsSource(t *testing.T) {
	t.Parallel()
	listed := map[string]int{}
	for _, name := range []string{"../../docs/cas.md", "../../docs/targets.md"} {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)(?:^\| |^|\()([FT]\d+)(?: \||,|:)`).FindAllStringSubmatch(string(page), -1) {
			listed[match[1]]++
		}
	}
	for fact, times := range listed {
		if times > 1 {
			t.Errorf("the pages list %s %d times", fact, times)
		}
	}
	mark := regexp.MustCompile(`//.*\([FT]\d[^)]*\)`)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, comment := range mark.FindAllString(string(code), -1) {
			for _, fact := range regexp.MustCompile(`\b[FT]\d+\b`).FindAllString(comment, -1) {
				if listed[fact] == 0 {
					t.Errorf("%s refers to %s, which neither page has", path, fact)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
