// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command image builds the operator's image from the Dockerfile, with docker where
// its daemon answers and else with buildah, which needs none.
//
// GO_IMAGE and BASE_IMAGE name other base images than the Dockerfile. Where buildah
// cannot pull them, it builds on stand-ins made of this machine's Go and
// certificates and says so: good for tests, not to be published.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// image is what to build.
type image struct {
	name, version, commit string
	// archive is a file that gets the image too, as an OCI or docker archive.
	archive string
	// platform is os/arch.
	platform string
	// storage is a folder for buildah's images; empty means its own.
	storage string
}

func run(ctx context.Context, args []string) error {
	var i image
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&i.name, "name", "ghcr.io/cloudcert-io/cloudcert:dev", "`name` and tag of the image")
	flags.StringVar(&i.version, "version", "dev", "`version` that the operator reports")
	flags.StringVar(&i.commit, "commit", "", "`commit` that the operator reports")
	flags.StringVar(&i.archive, "archive", "", "write the image to this `file` too, for containerd or kind to load")
	flags.StringVar(&i.platform, "platform", "linux/"+runtime.GOARCH, "`os/arch` to build for")
	flags.StringVar(&i.storage, "storage", "", "`folder` for buildah's images (default: buildah's own)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if exec.CommandContext(ctx, "docker", "info").Run() == nil {
		return i.withDocker(ctx)
	}
	if _, err := exec.LookPath("buildah"); err != nil {
		return errors.New("neither does a docker daemon answer nor is there buildah: install one of them (Debian: apt-get install buildah busybox-static)")
	}
	return i.withBuildah(ctx)
}

func (i *image) withDocker(ctx context.Context) error {
	args := []string{"build", "--tag", i.name, "--platform", i.platform}
	args = append(args, i.buildArgs(os.Getenv("GO_IMAGE"), os.Getenv("BASE_IMAGE"))...)
	// Without BuildKit there is neither BUILDPLATFORM nor TARGETARCH.
	if err := execute(ctx, []string{"DOCKER_BUILDKIT=1"}, "docker", append(args, ".")...); err != nil {
		return err
	}
	if i.archive == "" {
		return nil
	}
	return execute(ctx, nil, "docker", "save", "--output", i.archive, i.name)
}

// buildArgs are the arguments of the Dockerfile; an empty base leaves its default.
func (i *image) buildArgs(goImage, baseImage string) []string {
	args := []string{"--build-arg", "VERSION=" + i.version, "--build-arg", "COMMIT=" + i.commit}
	if goImage != "" {
		args = append(args, "--build-arg", "GO_IMAGE="+goImage)
	}
	if baseImage != "" {
		args = append(args, "--build-arg", "BASE_IMAGE="+baseImage)
	}
	return args
}

// execute runs a command whose words the user sees.
func execute(ctx context.Context, env []string, name string, args ...string) error {
	cmd := command(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// output runs a command and returns what it prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := command(ctx, name, args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// command is interrupted, not killed, when ctx ends, so that it can tidy up.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}
