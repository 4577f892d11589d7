// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// store is a folder of executables that appears whole or not at all.
type store struct {
	dir    string
	needed []string
	log    io.Writer
}

// newStore is the store of what a module pins, in the cache; sources are files
// that say how it is made, beside those that say it for all.
func newStore(kind, module string, needed []string, sources ...string) (store, error) {
	key, err := cacheKey(module, sources...)
	if err != nil {
		return store{}, fmt.Errorf("%w (run it from the root of the checkout)", err)
	}
	cache, err := cacheDir()
	return store{dir: filepath.Join(cache, kind, key), needed: needed, log: os.Stderr}, err
}

// cacheDir is where caches of the project are: outside the checkout, so that a
// fresh clone finds what another one made.
func cacheDir() (string, error) {
	if dir := os.Getenv("CLOUDCERT_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir() // no HOME: a bare CI machine
	}
	return filepath.Join(dir, "cloudcert"), nil
}

// obtain returns the folder, and has it made first if it is not there. It may be
// interrupted at any time and called by several processes at once: one makes it,
// the others wait.
func (s store) obtain(ctx context.Context, produce func(ctx context.Context, dir string) error) (string, error) {
	if complete(s.dir, s.needed) == nil {
		return s.dir, nil
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(s.dir, s.needed) == nil {
		return s.dir, nil // somebody else made it while we waited
	}
	aside := s.dir + ".making"
	// What an interrupted run left behind; nobody else can be at it, we hold the lock.
	if err := errors.Join(os.RemoveAll(aside), os.RemoveAll(s.dir)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	if err := produce(ctx, aside); err != nil {
		return "", err
	}
	if err := complete(aside, s.needed); err != nil {
		return "", fmt.Errorf("what was made is not complete: %w", err)
	}
	return s.dir, os.Rename(aside, s.dir)
}

// lock holds the store against other processes. The kernel drops the lock of a
// process that ends, however that happens.
func (s store) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(s.dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for waited := 0; ; waited++ {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, file.Close())
		}
		if waited%20 == 0 {
			fmt.Fprintf(s.log, "assets: another process is making them; waiting since %ds\n", waited)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(time.Second):
		}
	}
}

// complete says whether a folder holds executables of these names.
func complete(dir string, names []string) error {
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not an executable file", filepath.Join(dir, name))
		}
	}
	return nil
}

// cacheKey names what would be made: the platform, the Go release, and a digest
// of the module that pins every version and of the sources that say how.
func cacheKey(module string, sources ...string) (string, error) {
	digest := sha256.New()
	files := []string{filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")}
	for _, pattern := range []string{filepath.Join(module, "*", "*.go"), filepath.Join("hack", "assets", "make.go")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	files = append(files, sources...)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		digest.Write(raw)
	}
	return fmt.Sprintf("%s-%s-%s-%x", runtime.GOOS, runtime.GOARCH, runtime.Version(), digest.Sum(nil)[:8]), nil
}
