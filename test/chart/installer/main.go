// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command installer writes a folder of kustomize as one file, with another image:
// what kubectl apply -f takes where nobody wants a checkout. It is in this module
// because kustomize is.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	folder := flag.String("folder", "", "`folder` with a kustomization.yaml")
	image := flag.String("image", "", "`image` of the operator, by tag or digest or both")
	output := flag.String("output", "", "`file` to write")
	flag.Parse()
	if err := run(*folder, *image, *output); err != nil {
		fmt.Fprintln(os.Stderr, "installer:", err)
		os.Exit(1)
	}
}

func run(folder, image, output string) error {
	text, err := render(folder, image)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return err
	}
	return os.WriteFile(output, text, 0o644)
}

var (
	imageLine = regexp.MustCompile(`(?m)^( +(?:- )?image: ).*$`)
	reference = regexp.MustCompile(`^[a-z0-9][\w./:-]*[:@][\w.:-]+$`)
)

// render builds a folder as kubectl does, which puts a namespace before what is in
// it, and replaces the image.
func render(folder, image string) ([]byte, error) {
	if !reference.MatchString(image) {
		return nil, fmt.Errorf("%q is not an image with a tag or a digest", image)
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	objects, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	text, err := objects.AsYaml()
	if err != nil {
		return nil, err
	}
	lines := imageLine.FindAllIndex(text, -1)
	if len(lines) != 1 {
		return nil, errors.New("there is not just one image")
	}
	line := imageLine.ReplaceAll(text[lines[0][0]:lines[0][1]], []byte("${1}"+image))
	return bytes.Join([][]byte{text[:lines[0][0]], line, text[lines[0][1]:]}, nil), nil
}
