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
	"strings"
	"syscall"
	"time"
)

// store is a folder of executables that appears whole or not at all.
type store struct {
	dir     string
	targets []target // what it holds
	log     io.Writer
}

// newStore is the store of commands of a module, in the cache; how names more files that say
// how they are built.
func newStore(kind, module string, targets []target, how ...string) (store, error) {
	key, err := cacheKey(module, targets, how)
	if err != nil {
		return store{}, fmt.Errorf("%w (run it from the root of the checkout)", err)
	}
	cache, err := cacheDir()
	return store{dir: filepath.Join(cache, kind, key), targets: targets, log: os.Stderr}, err
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
	if complete(s.dir, s.targets) == nil {
		return s.dir, nil
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(s.dir, s.targets) == nil {
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
	if err := complete(aside, s.targets); err != nil {
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

// complete returns an error unless a folder holds an executable of each target.
func complete(dir string, targets []target) error {
	for _, t := range targets {
		path := filepath.Join(dir, t.name)
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not an executable file", path)
		}
	}
	return nil
}

// cacheKey names what would be made: the platform, the Go release, and a digest of the
// targets, of the module that pins every version, of the targets' sources in it, and
// of the files that say how they are built.
func cacheKey(module string, targets []target, how []string) (string, error) {
	digest := sha256.New()
	fmt.Fprintln(digest, targets)
	files := append([]string{filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum"), filepath.Join("hack", "assets", "make.go")}, how...)
	for _, t := range targets {
		if !strings.HasPrefix(t.pkg, "./") {
			continue
		}
		sources, err := filepath.Glob(filepath.Join(module, t.pkg, "*.go"))
		if err != nil {
			return "", err
		}
		files = append(files, sources...)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		digest.Write(raw)
	}
	return fmt.Sprintf("%s-%s-%s-%x", runtime.GOOS, runtime.GOARCH, runtime.Version(), digest.Sum(nil)[:8]), nil
}
