// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	link      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```")
)

// TestLinksBetweenPagesResolve follows every relative link of the pages, and its
// anchor.
func TestLinksBetweenPagesResolve(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, target := range links(t, page) {
			path, anchor, _ := strings.Cut(target, "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, target)
				continue
			}
			if anchor != "" && !hasAnchor(t, file, anchor) {
				t.Errorf("%s: the link %s leads to a heading that is not there", page, target)
			}
		}
	}
}

// TestTheChartLinksToItsOwnFilesAlone: its README is read where nothing but the
// package is.
func TestTheChartLinksToItsOwnFilesAlone(t *testing.T) {
	t.Parallel()
	for _, target := range links(t, filepath.Join(root, "charts", "cloudcert", "README.md")) {
		if strings.HasPrefix(target, "..") {
			t.Errorf("the link %s leads out of the package", target)
		}
	}
}

// TestAnchorsAreThoseOfGitHub: the tests above rest on it.
func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Where the promise ends":                     "where-the-promise-ends",
		"CloudCertificate (`cloudcert.io/v1alpha1`)": "cloudcertificate-cloudcertiov1alpha1",
		"Exactly once, and nothing lost":             "exactly-once-and-nothing-lost",
	} {
		if got := slug(text); got != want {
			t.Errorf("the anchor of %q is %q, want %q", text, got, want)
		}
	}
}

// pages are the Markdown files that people read.
func pages(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "charts/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, error %v", pattern, len(files), err)
		}
		found = append(found, files...)
	}
	return found
}

// links are the links of a page to files, not to other hosts.
func links(t *testing.T, page string) []string {
	t.Helper()
	var found []string
	for _, match := range link.FindAllStringSubmatch(withoutCode(t, page), -1) {
		if target := match[1]; !strings.Contains(target, "://") {
			found = append(found, target)
		}
	}
	return found
}

func hasAnchor(t *testing.T, page, anchor string) bool {
	t.Helper()
	for _, match := range heading.FindAllStringSubmatch(withoutCode(t, page), -1) {
		if slug(match[1]) == anchor {
			return true
		}
	}
	return false
}

// withoutCode reads a page and drops its blocks of code.
func withoutCode(t *testing.T, page string) string {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return codeBlock.ReplaceAllString(string(raw), "")
}

// slug is the anchor that GitHub gives a heading.
func slug(text string) string {
	return strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
}
