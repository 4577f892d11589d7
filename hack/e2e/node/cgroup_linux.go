// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// groups are the cgroups of a run: one in each hierarchy of version 1, or the one
// of version 2.
type groups struct {
	Unified bool
	Each    []group
}

// group is a cgroup, and how to mount its hierarchy anew.
type group struct {
	// Dir is the cgroup, Origin the one that this process came from.
	Dir, Origin string
	// Mount is the mount point; Options are those of the mount.
	Mount, Options string
}

// makeGroups makes a cgroup of a name below this process's own.
func makeGroups(name string) (groups, error) {
	g, err := findGroups()
	if err != nil {
		return g, err
	}
	made := groups{Unified: g.Unified}
	for _, own := range g.Each {
		parent := own.parent(g.Unified)
		if g.Unified {
			enable(parent)
		}
		own.Origin, own.Dir = own.Dir, filepath.Join(parent, name)
		if err := os.Mkdir(own.Dir, 0o755); err != nil {
			return made, fmt.Errorf("failed to make a cgroup: %w", err)
		}
		made.Each = append(made.Each, own)
		if err := inheritCPUs(own.Dir); err != nil {
			return made, err
		}
	}
	return made, nil
}

// parent is the folder for new cgroups: this one, or in version 2 the root, where
// a group with processes can have none with controllers below it.
func (g group) parent(unified bool) string {
	if unified {
		return g.Mount
	}
	return g.Dir
}

// findGroups reads which cgroups this process is in, and where they are.
func findGroups() (groups, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return groups{}, err
	}
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return groups{}, err
	}
	defer mounts.Close()
	return parseGroups(parseOwn(string(own)), mounts)
}

// parseGroups finds the mounts of hierarchies; own are the cgroups in each.
func parseGroups(own map[string]string, mounts io.Reader) (groups, error) {
	var found groups
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		// See proc_pid_mountinfo(5): id parent dev root mount options… - type source superoptions
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		root, mount := left[3], left[4]
		switch {
		case right[0] == "cgroup2" && mount == "/sys/fs/cgroup":
			return groups{Unified: true, Each: []group{{Dir: below(mount, root, own[""]), Mount: mount}}}, nil
		case right[0] == "cgroup":
			options := hierarchy(right[2])
			path, ok := own[options]
			if ok && !slices.ContainsFunc(found.Each, func(g group) bool { return g.Options == options }) {
				found.Each = append(found.Each, group{Dir: below(mount, root, path), Mount: mount, Options: options})
			}
		}
	}
	if err := lines.Err(); err != nil {
		return found, err
	}
	if len(found.Each) == 0 {
		return found, errors.New("no cgroups are mounted at /sys/fs/cgroup")
	}
	return found, nil
}

// below is a cgroup's folder where only the part of the hierarchy from root on is
// mounted.
func below(mount, root, path string) string {
	rest, err := filepath.Rel(root, path)
	if err != nil || strings.HasPrefix(rest, "..") {
		rest = "."
	}
	return filepath.Join(mount, rest)
}

// parseOwn reads the cgroups of a process, by hierarchy; that of version 2 has no
// name.
func parseOwn(text string) map[string]string {
	own := map[string]string{}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 {
			own[hierarchy(parts[1])] = parts[2]
		}
	}
	return own
}

// hierarchy names a hierarchy by its controllers, or by its name= if it has none.
func hierarchy(options string) string {
	names := slices.DeleteFunc(strings.Split(options, ","), func(o string) bool {
		return slices.Contains([]string{"rw", "ro", "xattr", "clone_children", "noprefix"}, o) || strings.HasPrefix(o, "release_agent=")
	})
	slices.Sort(names)
	return strings.Join(names, ",")
}

// inheritCPUs lets processes into a cgroup of version 1's cpuset, which begins
// with no processor.
func inheritCPUs(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if own, ownErr := os.ReadFile(filepath.Join(dir, file)); ownErr != nil || strings.TrimSpace(string(own)) != "" {
			continue // another hierarchy, or version 2, which inherits
		}
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, file), value, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// enable hands a cgroup's controllers on to those below it, as far as it can.
func enable(dir string) {
	controllers, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers")) // none, if it cannot be read
	for _, c := range strings.Fields(string(controllers)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644)
	}
}

// join moves this process into the cgroups.
func (g groups) join() error {
	for _, each := range g.Each {
		if err := moveSelf(each.Dir); err != nil {
			return err
		}
	}
	return nil
}

// leave moves it back where that matters.
func (g groups) leave() error {
	if !g.Unified {
		return nil
	}
	return moveSelf(g.Each[0].Origin)
}

func moveSelf(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0o644); err != nil {
		return fmt.Errorf("failed to enter a cgroup: %w", err)
	}
	return nil
}

// mount shows the cgroups to a new cgroup namespace as if they were all there are.
func (g groups) mount() error {
	const root = "/sys/fs/cgroup"
	if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("failed to unmount %s: %w", root, err)
	}
	// The network devices in it are those of the new namespace.
	if err := mount("sysfs", "/sys", "sysfs", ""); err != nil {
		return err
	}
	if g.Unified {
		return g.mountUnified(root)
	}
	if err := mount("tmpfs", root, "tmpfs", "mode=755"); err != nil {
		return err
	}
	for _, each := range g.Each {
		if err := each.mount(root); err != nil {
			return err
		}
	}
	return nil
}

// mount mounts a hierarchy of version 1, also by the name of each of its controllers:
// cpu beside cpu,cpuacct.
func (g group) mount(root string) error {
	dir := filepath.Join(root, filepath.Base(g.Mount))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if strings.HasPrefix(g.Options, "name=") {
		return mount("cgroup", dir, "cgroup", "none,"+g.Options)
	}
	if err := mount("cgroup", dir, "cgroup", g.Options); err != nil {
		return err
	}
	for name := range strings.SplitSeq(g.Options, ",") {
		if err := os.Symlink(filepath.Base(dir), filepath.Join(root, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// mountUnified also moves all processes into a cgroup of their own, so that there
// can be others beside it with controllers.
func (g groups) mountUnified(root string) error {
	if err := mount("cgroup2", root, "cgroup2", ""); err != nil {
		return err
	}
	leaf := filepath.Join(root, "cluster")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	for _, pid := range []string{"1", "0"} {
		if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(pid), 0o644); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(5 * time.Second) // enter may still be leaving
	for {
		enable(root)
		enabled, err := os.ReadFile(filepath.Join(root, "cgroup.subtree_control"))
		if err != nil {
			return err
		}
		if strings.Contains(string(enabled), "memory") {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the cgroups of this machine do not hand the memory controller on: run in the root cgroup, or use docker")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// remove removes the cgroups once their processes are gone.
func (g groups) remove() error {
	var errs []error
	for _, each := range g.Each {
		deadline := time.Now().Add(20 * time.Second)
		for {
			err := removeGroup(each.Dir)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				errs = append(errs, fmt.Errorf("failed to remove a cgroup: %w", err))
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return errors.Join(errs...)
}

// removeGroup removes a cgroup and those below it.
func removeGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return syscall.Rmdir(dir)
}
