// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of testdata/golden anew")

// TestRendersAreKnown compares what the chart renders with the golden files: a
// change of the chart shows there what it changes for users.
//
//	go test -C test/chart . -update
func TestRendersAreKnown(t *testing.T) {
	t.Parallel()
	all := cases(t)
	for name, values := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := render(values)
			if err != nil {
				t.Fatal(err)
			}
			got := golden(files)
			file := filepath.Join("testdata", "golden", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s is not what the chart renders; if that was meant: go test -C test/chart . -update (-want +got):\n%s", file, diff)
			}
		})
	}
	files, err := filepath.Glob("testdata/golden/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := all[strings.TrimSuffix(filepath.Base(file), ".txt")]; !ok {
			t.Errorf("%s has no values: remove it", file)
		}
	}
}

// golden joins rendered files into one text. Of a CRD it has the head: the rest
// is what config/crd has, which another test sees to; and of the dashboard, which is a file.
func golden(files map[string]string) string {
	var text strings.Builder
	for _, file := range slices.Sorted(maps.Keys(files)) {
		content := strings.TrimSpace(files[file])
		if strings.HasPrefix(file, "crd_") {
			head, _, _ := strings.Cut(content, "\nspec:\n")
			content = head + "\nspec: # …"
		}
		if file == "dashboard.yaml" {
			head, _, _ := strings.Cut(content, "\n    {")
			content = head + "\n    # …"
		}
		fmt.Fprintf(&text, "===== %s\n%s\n", file, content)
	}
	return text.String()
}
