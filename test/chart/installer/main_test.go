// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const folder = "../../../config/default"

// TestInstallerIsTheDefaultButForTheImage, object by object.
func TestInstallerIsTheDefaultButForTheImage(t *testing.T) {
	t.Parallel()
	const image = "registry.example.com:5000/mirror/cloudcert:1.2.3@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	text, err := render(folder, image)
	if err != nil {
		t.Fatal(err)
	}
	want, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]string{}
	for _, object := range want.Resources() {
		left[strings.TrimSpace(object.MustYaml())] = object.CurId().String()
	}
	var others []string
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		document = strings.TrimSpace(document)
		if _, ok := left[document]; !ok {
			others = append(others, document)
		}
		delete(left, document)
	}
	if len(others) != 1 || len(left) != 1 {
		t.Fatalf("objects of config/default that are missing: %v, and others that are there:\n%s", left, strings.Join(others, "\n---\n"))
	}
	for deployment := range left {
		diff := strings.Split(deployment, "\n")
		for i, line := range strings.Split(others[0], "\n") {
			if i >= len(diff) || line != diff[i] && strings.TrimSpace(line) != "image: "+image {
				t.Errorf("line %d differs in more than the image: %s", i, cmp.Diff(deployment, others[0]))
			}
		}
	}
}

// TestNamespaceComesFirst: kubectl apply -f goes from the top.
func TestNamespaceComesFirst(t *testing.T) {
	t.Parallel()
	text, err := render(folder, "cloudcert:1")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "apiVersion: v1\nkind: Namespace\n") {
		t.Errorf("the first object is not the namespace: %.60s", text)
	}
}

func TestImageIsPinned(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"", "cloudcert", "cloudcert:", "cloudcert:1\nargs: []", "cloudcert:1 # x"} {
		if text, err := render(folder, image); err == nil {
			t.Errorf("%q was taken:\n%s", image, text)
		}
	}
	if _, err := os.Stat(folder); err != nil { // the errors above were not about that
		t.Error(err)
	}
}
