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

// Every fact that a comment refers to by number stands in docs/cas.md, once.
func TestEveryFactHasItsSource(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/cas.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	for _, match := range regexp.MustCompile(`(?m)(?:^\| |^|\()(F\d+)(?: \||,|:)`).FindAllStringSubmatch(string(page), -1) {
		listed[match[1]]++
	}
	for fact, times := range listed {
		if times > 1 {
			t.Errorf("docs/cas.md lists %s %d times", fact, times)
		}
	}
	mark := regexp.MustCompile(`//.*\(F\d[^)]*\)`)
	err = filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, comment := range mark.FindAllString(string(code), -1) {
			for _, fact := range regexp.MustCompile(`\bF\d+\b`).FindAllString(comment, -1) {
				if listed[fact] == 0 {
					t.Errorf("%s refers to %s, which docs/cas.md does not have", path, fact)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
