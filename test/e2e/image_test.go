// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// maxImage bounds what an image holds, in bytes, unpacked.
const maxImage = 60_000_000

// TestImage looks at what runs: a small image, whose only program is linked statically
// and is to the byte what this source gives in another folder.
func TestImage(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, nil)
	pod := leader(t)
	said := kubectl(t, "exec", "--namespace="+releaseNamespace, pod.Name, "--", "/manager", "--version")
	parts := regexp.MustCompile(`^cloudcert (v0\.0\.0-e2e) \(commit ([0-9a-f]{40}|unknown), (go[0-9.]+)\)$`).FindStringSubmatch(said)
	if parts == nil {
		t.Fatalf("--version says %q", said)
	}
	version, commit, release := parts[1], parts[2], parts[3]

	root := fmt.Sprintf("/proc/%d/root", process(t, pod))
	if size := sizeOf(t, root); size > maxImage {
		t.Errorf("the image holds %d bytes, more than %d", size, maxImage)
	}
	manager, err := os.ReadFile(filepath.Join(root, "manager"))
	if err != nil {
		t.Fatal(err)
	}
	program, err := elf.NewFile(bytes.NewReader(manager))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a %v: it is not static", p.Type)
		}
	}
	if release != runtime.Version() {
		t.Skipf("the image was built by %s, and this machine has %s: its bytes cannot be compared", release, runtime.Version())
	}
	if again := rebuild(t, version, commit); sha256.Sum256(again) != sha256.Sum256(manager) {
		t.Errorf("the same source gave another program, of %d instead of %d bytes", len(again), len(manager))
	}
}

// sizeOf sums up the files of a container's image, without what is mounted into it.
func sizeOf(t *testing.T, root string) (size int64) {
	t.Helper()
	device := func(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Dev } //nolint:forcetypeassert // on Linux
	top, err := os.Stat(root + "/")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root+"/", func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() && device(info) != device(top) {
			return filepath.SkipDir
		}
		if info.Mode().IsRegular() && device(info) == device(top) {
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if size == 0 {
		t.Fatal("the image holds nothing")
	}
	return size
}

// rebuild builds the manager as the Dockerfile does, in the checkout.
func rebuild(t *testing.T, version, commit string) []byte {
	t.Helper()
	const pkg = "github.com/cloudcert-io/cloudcert/internal/version"
	output := filepath.Join(t.TempDir(), "manager")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid= -X "+pkg+".version="+version+" -X "+pkg+".commit="+commit, "-o", output, "./cmd/manager")
	cmd.Dir = testbed.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	built, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	return built
}
