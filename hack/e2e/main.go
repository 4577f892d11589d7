// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command e2e runs a command, in general go test, on a real cluster that exists
// for as long as the command runs. The cluster is kind's where a docker daemon
// answers, and else one node in namespaces of its own, for which it must be root
// on Linux. What either needs is built from Go modules once per version, or
// installed by apt-get.
//
// The command finds the cluster, the image and tools in its environment:
//
//	KUBECONFIG          leads to the cluster as an administrator
//	E2E_PROVIDER        kind or node
//	E2E_IMAGE           the operator's image, loaded into the node
//	E2E_CLOUD_IP        an address of this machine that pods reach
//	E2E_BIN             folder of helm, kubectl and cert-manager, which is in PATH too
//	E2E_CERT_MANAGER    folder of cert-manager's CRDs
//	E2E_LOG             folder for logs
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cloudcert-io/cloudcert/hack/e2e/node"
	"github.com/cloudcert-io/cloudcert/hack/e2e/process"
)

// imageName is what the chart installs by default, with a tag that no registry has.
const imageName = "ghcr.io/cloudcert-io/cloudcert:e2e"

const usage = "usage: e2e [-provider auto|kind|node] COMMAND [ARGUMENT...]"

func main() {
	// The kernel kills a child with the thread that started it: all are started by
	// this one, which ends with the process.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() && ctx.Err() == nil {
		os.Exit(exit.ExitCode()) // the command has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 2 && args[0] == node.StageFlag {
		return node.RunStage(ctx, args[1], args[2:])
	}
	flags := flag.NewFlagSet("e2e", flag.ContinueOnError)
	provider := flags.String("provider", "auto", "who makes the cluster: kind, node or auto")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), usage+"\n\nCOMMAND runs in a cluster that exists for as long as it does, and finds kubectl and helm in its PATH.")
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	if flags.NArg() == 0 {
		return errors.New(usage)
	}
	p, err := choose(ctx, *provider)
	if err != nil {
		return err
	}
	state, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", node.Prefix, os.Getpid()))
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	logs, err := logFolder()
	if err != nil {
		return err
	}
	e, err := prepare(ctx, p, state, logs)
	if err != nil {
		return err
	}
	return p.run(ctx, e, flags.Args())
}

// provider makes clusters.
type provider interface {
	// install installs what the provider needs on this machine.
	install(ctx context.Context) error
	// assets obtains the provider's own binaries.
	assets(ctx context.Context, e *environment) error
	// run makes a cluster, runs the command and removes the cluster.
	run(ctx context.Context, e *environment, command []string) error
}

func choose(ctx context.Context, name string) (provider, error) {
	docker := exec.CommandContext(ctx, "docker", "info").Run() == nil
	switch {
	case name == "kind" || name == "auto" && docker:
		return &kind{}, nil
	case name == "node" || name == "auto":
		return bare{}, node.Possible()
	default:
		return nil, fmt.Errorf("there is no provider %q: kind, node or auto", name)
	}
}

// environment is what a cluster needs and what a command finds.
type environment struct {
	// state is a folder that goes with the run; logs stays.
	state, logs string
	bin         string
	tools       string // folder of hack's own binaries: `go run` does not hand on a signal
	temp        string // for the command: a test that is killed leaves its files
	archive     string // of the image
	crds        string // of cert-manager
}

// variables are the command's, beside those of its provider.
func (e *environment) variables() []string {
	return []string{
		"E2E_IMAGE=" + imageName, "E2E_BIN=" + e.bin, "E2E_CERT_MANAGER=" + e.crds, "E2E_LOG=" + e.logs,
		"TMPDIR=" + e.temp, "PATH=" + e.bin + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
}

// logFolder is empty and in the checkout, where git does not see it.
func logFolder() (string, error) {
	dir, err := filepath.Abs(filepath.Join("dist", "e2e"))
	if err != nil {
		return "", err
	}
	return dir, errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
}

// prepare obtains and builds everything while there is still a network.
func prepare(ctx context.Context, p provider, state, logs string) (*environment, error) {
	e := &environment{
		state: state, logs: logs, bin: filepath.Join(state, "bin"), tools: filepath.Join(state, "tools"),
		temp: filepath.Join(state, "tmp"), archive: filepath.Join(state, "operator.tar"),
	}
	if err := errors.Join(os.Mkdir(e.bin, 0o755), os.Mkdir(e.tools, 0o755), os.Mkdir(e.temp, 0o755)); err != nil {
		return nil, err
	}
	if err := process.Run(ctx, nil, "go", "build", "-o", e.tools, "./hack/assets", "./hack/image"); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"install what is missing on this machine", p.install},
		{"obtain the cluster's binaries", func(ctx context.Context) error { return e.obtain(ctx, p) }},
		{"build helm", e.build},
		{"build the image", e.image},
	} {
		began := time.Now()
		fmt.Printf("==> %s\n", s.what)
		if err := s.do(ctx); err != nil {
			return nil, err
		}
		fmt.Printf("    %s\n", time.Since(began).Round(100*time.Millisecond))
	}
	return e, nil
}

// obtain links what the caches hold into the folder of binaries.
func (e *environment) obtain(ctx context.Context, p provider) error {
	plane, err := e.assets(ctx)
	if err != nil {
		return err
	}
	if err := link(plane, e.bin); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(e.bin, "kubectl")); err != nil {
		return fmt.Errorf("there is no kubectl in KUBEBUILDER_ASSETS: %w", err)
	}
	certManager, err := e.assets(ctx, "cert-manager")
	if err != nil {
		return err
	}
	if err := os.Symlink(certManager, filepath.Join(e.bin, "cert-manager")); err != nil {
		return err
	}
	// The CRDs are files of the module.
	raw, err := process.Output(ctx, "go", "-C", "hack/cluster", "mod", "download", "-json", "github.com/cert-manager/cert-manager")
	if err != nil {
		return err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal([]byte(raw), &module); err != nil {
		return err
	}
	e.crds = filepath.Join(module.Dir, "deploy", "crds")
	return p.assets(ctx, e)
}

// build links helm, which go keeps linked as it does every tool.
func (e *environment) build(ctx context.Context) error {
	helm, err := process.Output(ctx, "go", "-C", "test/chart", "tool", "-n", "helm")
	if err != nil {
		return err
	}
	return os.Symlink(helm, filepath.Join(e.bin, "helm"))
}

func (e *environment) image(ctx context.Context) error {
	commit, err := process.Output(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		commit = "unknown"
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	return process.Run(ctx, nil, filepath.Join(e.tools, "image"), "-name="+imageName, "-version=v0.0.0-e2e", "-commit="+commit,
		"-archive="+e.archive, "-storage="+filepath.Join(cache, "images"))
}

// cacheDir is where hack/assets keeps its caches too.
func cacheDir() (string, error) {
	if dir := os.Getenv("CLOUDCERT_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "cloudcert"), err
}

// assets asks hack/assets for what an argument names.
func (e *environment) assets(ctx context.Context, args ...string) (string, error) {
	cmd := process.Command(ctx, nil, filepath.Join(e.tools, "assets"), args...)
	cmd.Stdout = nil
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// link links every file of a folder into another.
func link(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Symlink(filepath.Join(from, f.Name()), filepath.Join(to, f.Name())); err != nil {
			return err
		}
	}
	return nil
}
