// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestTemplateKeepsWhatLooksLikeAnAction(t *testing.T) {
	t.Parallel()
	got, err := render("x.yaml", "---\napiVersion: v1\nmetadata:\n  annotations:\n    by: v1\n  name: x\nspec:\n  text: use {{ .Name }}\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := `text: use {{ "{{" }} .Name }}`; !strings.Contains(got, want) {
		t.Errorf("got:\n%s\nwant in it: %s", got, want)
	}
}

func TestUnknownShapesAreRefused(t *testing.T) {
	t.Parallel()
	for name, crd := range map[string]string{
		"no annotation": "apiVersion: v1\nmetadata:\n  name: x\nspec:\n",
		"no spec":       "apiVersion: v1\nmetadata:\n  annotations:\n    by: v1\n  name: x\n",
		"a label":       "apiVersion: v1\nmetadata:\n  annotations:\n    by: v1\n  labels:\n    a: b\n  name: x\nspec:\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := render("x.yaml", crd); err == nil {
				t.Errorf("got a template:\n%s", got)
			}
		})
	}
}
