// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func testStore(t *testing.T) store {
	t.Helper()
	return store{dir: filepath.Join(t.TempDir(), "cache", "key"), targets: []target{{name: "etcd"}}, log: io.Discard}
}

func makeEtcd(_ context.Context, dir string) error {
	return os.WriteFile(filepath.Join(dir, "etcd"), nil, 0o755)
}

func TestManyCallersMakeItOnce(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := s.obtain(t.Context(), func(ctx context.Context, dir string) error {
				made.Add(1)
				return makeEtcd(ctx, dir)
			})
			if err != nil || complete(dir, s.targets) != nil {
				t.Errorf("obtain: %q, %v", dir, err)
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("made %d times, want once", n)
	}
}

func TestNothingAppearsHalf(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	failure := errors.New("interrupted")
	_, err := s.obtain(t.Context(), func(ctx context.Context, dir string) error {
		return errors.Join(makeEtcd(ctx, dir), failure)
	})
	if !errors.Is(err, failure) {
		t.Fatalf("got %v, want the failure", err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a failed run left its folder: %v", err)
	}
	// A process that was killed leaves its folder aside; the next one makes it anew.
	if err := os.MkdirAll(filepath.Join(s.dir+".making", "left over"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := s.obtain(t.Context(), makeEtcd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "left over")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed run left behind was published")
	}
}

func TestIncompleteIsAnError(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	if _, err := s.obtain(t.Context(), func(context.Context, string) error { return nil }); err == nil {
		t.Error("a folder without etcd was taken for complete")
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "etcd"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if complete(s.dir, s.targets) == nil {
		t.Error("a file that cannot be executed was taken for etcd")
	}
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	unlock, err := s.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.obtain(ctx, makeEtcd); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// Not parallel: it sets the environment.
func TestKubebuilderAssetsWins(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", dir)
	if got, err := controlPlane(t.Context()); err == nil {
		t.Errorf("an empty folder was taken: %s", got)
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := controlPlane(t.Context()); err != nil || got != dir {
		t.Errorf("got %q, %v, want %q", got, err, dir)
	}
}
