// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// cacheSecretsVariable is what cmd/manager/bench.go reads in the environment.
const cacheSecretsVariable = "CLOUDCERT_BENCH_CACHE_SECRETS"

// variant is a build of the operator, and what it needs in its environment.
type variant struct {
	binary string
	env    []string
}

// buildVariant builds the operator as the Makefile does, with cmd/manager/bench.go in it.
func (b *bench) buildVariant(ctx context.Context) (string, error) {
	return testbed.Build(ctx, b.dir, "./cmd/manager", "-tags=bench", "-trimpath", "-ldflags=-s -w")
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
