// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// pullTimeout bounds the pull of a base image; where there is no network it fails
// at once.
const pullTimeout = 5 * time.Minute

// buildah is buildah with its storage.
type buildah struct {
	global []string // flags of every command
	policy string   // who must have signed an image: nobody, as with docker
}

func (i *image) withBuildah(ctx context.Context) error {
	scratch, err := os.MkdirTemp("", "cloudcert-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	b := &buildah{policy: filepath.Join(scratch, "policy.json")}
	if err := os.WriteFile(b.policy, []byte(`{"default": [{"type": "insecureAcceptAnything"}]}`), 0o600); err != nil {
		return err
	}
	if i.storage != "" {
		b.global = []string{"--root", filepath.Join(i.storage, "root"), "--runroot", filepath.Join(i.storage, "run")}
	}
	goImage, baseImage, err := b.bases(ctx, scratch)
	if err != nil {
		return err
	}
	if err := b.build(ctx, i, goImage, baseImage); err != nil {
		return err
	}
	if i.archive == "" {
		return nil
	}
	archive, err := filepath.Abs(i.archive)
	if err != nil {
		return err
	}
	// An archive is added to, never written anew.
	if err := os.Remove(archive); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return b.run(ctx, "push", "--signature-policy", b.policy, "--quiet", i.name, "oci-archive:"+archive+":"+i.name)
}

// build builds the Dockerfile. It works in a chroot and lends it the machine's
// caches of Go.
func (b *buildah) build(ctx context.Context, i *image, goImage, baseImage string) error {
	args := []string{
		"build", "--signature-policy", b.policy, "--pull=never", "--isolation=chroot", "--layers=false",
		"--format=docker", "--tag", i.name, "--platform", i.platform,
	}
	for variable, mount := range map[string]string{"GOMODCACHE": "/go/pkg/mod", "GOCACHE": "/root/.cache/go-build"} {
		dir, err := output(ctx, "go", "env", variable)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		args = append(args, "--volume", dir+":"+mount)
	}
	// The commit's time instead of now: the same source gives the same image.
	if seconds, err := output(ctx, "git", "log", "-1", "--format=%ct"); err == nil {
		args = append(args, "--timestamp", seconds)
	}
	args = append(args, i.buildArgs(goImage, baseImage)...)
	return b.run(ctx, append(args, ".")...)
}

// bases are the base images: those of the Dockerfile or the environment if they
// are here or can be pulled, and else stand-ins.
func (b *buildah) bases(ctx context.Context, scratch string) (goImage, baseImage string, err error) {
	defaults, err := dockerfileArgs()
	if err != nil {
		return "", "", err
	}
	var found []string
	for _, name := range []string{"GO_IMAGE", "BASE_IMAGE"} {
		base := os.Getenv(name)
		given := base != ""
		if !given {
			base = defaults[name]
		}
		if err := b.pull(ctx, base); err != nil {
			if given || ctx.Err() != nil {
				return "", "", fmt.Errorf("%s: %w", name, err)
			}
			stand, makeErr := b.standIn(ctx, scratch, name)
			if makeErr != nil {
				return "", "", fmt.Errorf("failed to make a stand-in for %s: %w, after %w", base, makeErr, err)
			}
			fmt.Fprintf(os.Stderr, "image: %s cannot be pulled; building on a stand-in: do not publish this image\n", base)
			base = stand
		}
		found = append(found, base)
	}
	return found[0], found[1], nil
}

var argLine = regexp.MustCompile(`(?m)^ARG ([A-Z_]+)=(\S+)$`)

// dockerfileArgs are the defaults of the Dockerfile's arguments.
func dockerfileArgs() (map[string]string, error) {
	raw, err := os.ReadFile("Dockerfile")
	if err != nil {
		return nil, fmt.Errorf("%w (run it from the root of the checkout)", err)
	}
	args := map[string]string{}
	for _, match := range argLine.FindAllStringSubmatch(string(raw), -1) {
		args[match[1]] = match[2]
	}
	return args, nil
}

// pull makes sure that an image is here.
func (b *buildah) pull(ctx context.Context, name string) error {
	if b.has(ctx, name) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	_, err := b.output(ctx, "pull", "--signature-policy", b.policy, "--quiet", name)
	return err
}

func (b *buildah) has(ctx context.Context, name string) bool {
	_, err := b.output(ctx, "inspect", "--type=image", "--format={{.FromImageID}}", name)
	return err == nil
}

func (b *buildah) run(ctx context.Context, args ...string) error {
	return execute(ctx, nil, "buildah", append(b.global, args...)...)
}

func (b *buildah) output(ctx context.Context, args ...string) (string, error) {
	return output(ctx, "buildah", append(b.global, args...)...)
}

// standIn makes an image that can take a base image's place: for GO_IMAGE this
// machine's Go and a shell, for BASE_IMAGE what distroless/static has.
func (b *buildah) standIn(ctx context.Context, scratch, arg string) (string, error) {
	release, err := output(ctx, "go", "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	name := "localhost/cloudcert-stand-in/" + strings.ToLower(strings.ReplaceAll(arg, "_", "-")) + ":" + release
	if b.has(ctx, name) {
		return name, nil
	}
	container, err := b.output(ctx, "from", "--signature-policy", b.policy, "scratch")
	if err != nil {
		return "", err
	}
	root := filepath.Join(scratch, arg)
	fill := b.fillBase
	if arg == "GO_IMAGE" {
		fill = b.fillGo
	}
	err = fill(ctx, root, container)
	if err == nil {
		err = b.commit(ctx, root, container, name)
	}
	if err != nil { // ctx may be why
		_, rmErr := b.output(context.WithoutCancel(ctx), "rm", container)
		return "", errors.Join(err, rmErr)
	}
	return name, nil
}

func (b *buildah) commit(ctx context.Context, root, container, name string) error {
	if _, err := b.output(ctx, "copy", "--quiet", container, root, "/"); err != nil {
		return err
	}
	_, err := b.output(ctx, "commit", "--signature-policy", b.policy, "--quiet", "--rm", container, name)
	return err
}

func (b *buildah) fillBase(ctx context.Context, root, container string) error {
	if err := common(root); err != nil {
		return err
	}
	_, err := b.output(ctx, "config", "--user=65532:65532", "--env=SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", container)
	return err
}

func (b *buildah) fillGo(ctx context.Context, root, container string) error {
	if err := common(root); err != nil {
		return err
	}
	// The only file that a shell needs, if it is linked statically.
	shell, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("%w (Debian: apt-get install busybox-static)", err)
	}
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bin, "sh"), shell, 0o755); err != nil {
		return err
	}
	goroot, err := output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	if _, err := b.output(ctx, "copy", "--quiet", container, goroot, "/usr/local/go"); err != nil {
		return err
	}
	_, err = b.output(ctx, "config", "--env=PATH=/usr/local/go/bin:/bin", "--env=GOPATH=/go", "--env=GOTOOLCHAIN=local", container)
	return err
}

// common is what both images have: certificates, users and a folder for temporary
// files.
func common(root string) error {
	certificates, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		return fmt.Errorf("%w (Debian: apt-get install ca-certificates)", err)
	}
	for _, dir := range []string{"tmp", "etc/ssl/certs", "root", "home/nonroot"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	const users = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	return errors.Join(
		os.WriteFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"), certificates, 0o644),
		os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(users), 0o644),
		os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky),
	)
}
