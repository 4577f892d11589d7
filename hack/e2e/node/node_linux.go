// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cloudcert-io/cloudcert/hack/e2e/process"
)

// kubeletDir is where the kubelet insists on some of its files.
const kubeletDir = "/var/lib/kubelet"

// Possible returns an error that says why no node can be made here.
func Possible() error {
	if os.Geteuid() != 0 {
		return errors.New("no docker daemon answers, and a cluster without it needs root: start docker, or become root")
	}
	return nil
}

// packages are Debian's, by a file of each.
var packages = map[string]string{
	"/usr/bin/buildah":    "buildah",
	"/bin/busybox":        "busybox-static",
	"/usr/sbin/runc":      "runc",
	"/usr/lib/cni/bridge": "containernetworking-plugins",
	"/usr/sbin/nft":       "nftables",
	"/usr/sbin/ip":        "iproute2",
}

// cniFolders are where distributions keep the plugins.
var cniFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// Install installs what a node needs beside binaries that can be built from Go modules.
func Install(ctx context.Context) error {
	var missing []string
	for file, name := range packages {
		if !installed(file) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install what Debian calls %s", strings.Join(missing, " "))
	}
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	args := append([]string{"install", "--yes", "--quiet", "--no-install-recommends"}, missing...)
	if err := process.Run(ctx, env, "apt-get", "update", "--quiet"); err != nil {
		return err
	}
	return process.Run(ctx, env, "apt-get", args...)
}

// installed finds a command in the path, too, and a plugin in its other folders.
func installed(file string) bool {
	candidates := []string{file}
	if dir, name := filepath.Split(file); filepath.Base(dir) == "cni" {
		for _, folder := range cniFolders {
			candidates = append(candidates, filepath.Join(folder, name))
		}
	} else if _, err := exec.LookPath(name); err == nil && name != "busybox" { // that must be linked statically
		return true
	}
	return slices.ContainsFunc(candidates, func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// Run makes a node, runs a command in its namespaces and removes the node.
func Run(ctx context.Context, config Config, words []string) (err error) {
	if err := sweep(); err != nil {
		return err
	}
	groups, err := makeGroups(fmt.Sprintf("%s%d", Prefix, os.Getpid()))
	defer func() { err = errors.Join(err, groups.remove()) }()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(stageInput{Config: config, Groups: groups})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(config.Dir, "stage.json"), raw, 0o600); err != nil {
		return err
	}
	return stage(ctx, "enter", config.Dir, words).Run()
}

// sweep removes what runs left that were killed themselves.
func sweep() error {
	g, err := findGroups()
	if err != nil {
		return err
	}
	if err := sweepFolder(os.TempDir(), os.RemoveAll); err != nil {
		return err
	}
	for _, each := range g.Each { // by its folders alone: its files are the kernel's
		if err := sweepFolder(each.parent(g.Unified), removeGroup); err != nil {
			return err
		}
	}
	return nil
}

// sweepFolder removes what is in a folder of runs whose processes are gone.
func sweepFolder(folder string, remove func(path string) error) error {
	found, err := filepath.Glob(filepath.Join(folder, Prefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range found {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(path), Prefix+"%d", &pid); err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := remove(path); err != nil {
			return fmt.Errorf("an earlier run left %s: %w", path, err)
		}
	}
	return nil
}

// stageInput is what the first process tells the others.
type stageInput struct {
	Config
	Groups groups
}

// stage is this program in another role. It is killed, not interrupted: there is
// nothing to tidy up that would not go by itself.
func stage(ctx context.Context, role, state string, words []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{StageFlag, role, state}, words...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = process.DieWithParent()
	cmd.WaitDelay = time.Second
	return cmd
}

// RunStage is this program in the role of a process that Run started.
func RunStage(_ context.Context, role string, args []string) error {
	state, words := args[0], args[1:]
	raw, err := os.ReadFile(filepath.Join(state, "stage.json"))
	if err != nil {
		return err
	}
	var in stageInput
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	// Whoever started us ends us.
	ctx := context.Background()
	switch role {
	case "enter":
		return enter(ctx, in, words)
	case "init":
		return reap(stage(ctx, "node", state, words))
	case "node":
		return runNode(ctx, in, words)
	default:
		return fmt.Errorf("there is no stage %q", role)
	}
}

// enter joins the cgroups and starts init in new namespaces.
func enter(ctx context.Context, in stageInput, words []string) error {
	if err := in.Groups.join(); err != nil {
		return err
	}
	cmd := stage(ctx, "init", in.Dir, words)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID |
		syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("failed to make namespaces: %w", err)
	}
	// The unified hierarchy has no processes in a group that has groups.
	if err := in.Groups.leave(); err != nil {
		return err
	}
	return cmd.Wait()
}

// reap runs a command as the first process of a namespace, which inherits orphans
// and has to bury them.
func reap(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if pid == cmd.Process.Pid {
			if status.Signaled() {
				return fmt.Errorf("the node was killed: %s", status.Signal())
			}
			os.Exit(status.ExitStatus())
		}
	}
}
