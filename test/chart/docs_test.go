// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

var yamlInText = regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```\n")

// TestAPIServerTakesWhatIsDocumented of bindings and policies, with every field.
func TestAPIServerTakesWhatIsDocumented(t *testing.T) {
	t.Parallel()
	ensureNamespace(t, "shop")
	for page, least := range map[string]int{"binding.md": 15, "spec/cloudcertificatebinding.md": 1, "spec/certificatetargetpolicy.md": 1} {
		text, err := os.ReadFile(filepath.Join(root, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, match := range yamlInText.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(match[1], "apiVersion: cloudcert.io/") {
				continue
			}
			for _, o := range split(t, page, match[1]) {
				found++
				if err := client.WithFieldValidation(kube, "Strict").Create(t.Context(), o, client.DryRunAll); err != nil {
					t.Errorf("%s: %s: %v", page, describe(o), err)
				}
			}
		}
		if found < least {
			t.Errorf("%s: %d objects were found, want at least %d", page, found, least)
		}
	}
}
