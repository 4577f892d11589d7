// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// pprofVariable is where a profiled build serves net/http/pprof.
const pprofVariable = "CLOUDCERT_BENCH_PPROF"

// variant is a build of the operator that only this benchmark uses: its sources
// with some text replaced, and files added. The checkout is not touched.
type variant struct {
	replaced map[string][2]string // by file: text that is there once, and what stands for it
	added    map[string]string
}

// profiled serves profiles.
var profiled = variant{added: map[string]string{
	"cmd/manager/bench_pprof.go": `package main

import (
	"net/http"
	_ "net/http/pprof"
	"os"
)

func init() { go func() { _ = http.ListenAndServe(os.Getenv("` + pprofVariable + `"), nil) }() }
`,
}}

// cachesSecrets is the usual way to watch Secrets: a client that caches what it reads,
// whole.
var cachesSecrets = variant{replaced: map[string][2]string{
	"internal/controller/cache.go": {
		"func stripSecret(in any) (any, error) {\n",
		"func stripSecret(in any) (any, error) {\n\tif _, whole := in.(*corev1.Secret); whole {\n\t\treturn in, nil\n\t}\n",
	},
	"cmd/manager/main.go": {
		"\treturn mgr.Start(ctx)\n",
		"\tif _, err := mgr.GetCache().GetInformer(ctx, &corev1.Secret{}); err != nil {\n\t\treturn err\n\t}\n\treturn mgr.Start(ctx)\n",
	},
}}

// apply replaces text in a source.
func (v variant) apply(file, source string) (string, error) {
	change := v.replaced[file]
	if n := strings.Count(source, change[0]); n != 1 {
		return "", fmt.Errorf("%s changed: the text to replace is there %d times, want once: %q", file, n, change[0])
	}
	return strings.Replace(source, change[0], change[1], 1), nil
}

// released are the flags of the Makefile's build.
var released = []string{"-trimpath", "-ldflags=-s -w"}

// buildVariant builds a variant through an overlay (go help build, -overlay).
func buildVariant(ctx context.Context, dir, name string, v variant) (string, error) {
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	root, err := filepath.Abs(testbed.Root())
	if err != nil {
		return "", err
	}
	sources := map[string]string{}
	for file := range v.replaced {
		raw, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		if sources[file], err = v.apply(file, string(raw)); err != nil {
			return "", err
		}
	}
	for file, source := range v.added {
		sources[file] = source
	}
	overlay, err := writeOverlay(dir, root, sources)
	if err != nil {
		return "", err
	}
	return testbed.Build(ctx, dir, "./cmd/manager", append([]string{"-overlay=" + overlay}, released...)...)
}

// profileCPU begins a profile of the operator, which stop ends.
func (b *bench) profileCPU(o *operator, name string) (stop func()) {
	if b.profiles == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var profile sync.WaitGroup
	profile.Go(func() { b.save(ctx, o, "profile?seconds=15", name+".cpu") })
	return func() {
		profile.Wait()
		cancel()
	}
}

// profileHeap takes a profile of what is alive.
func (b *bench) profileHeap(ctx context.Context, o *operator, name string) {
	if b.profiles != "" {
		b.save(ctx, o, "heap?gc=1", name+".heap")
	}
}

func (b *bench) save(ctx context.Context, o *operator, what, name string) {
	raw, err := get(ctx, http.DefaultClient, "http://"+o.pprof+"/debug/pprof/"+what)
	if err == nil {
		err = os.WriteFile(filepath.Join(b.profiles, name+".pprof"), raw, 0o600)
	}
	if err != nil {
		progressf("no profile %s: %v", name, err)
	}
}

// writeOverlay writes sources into dir and the file that puts them in their places.
func writeOverlay(dir, root string, sources map[string]string) (string, error) {
	replace := map[string]string{}
	for file, source := range sources {
		path := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = path
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, raw, 0o600)
}
