// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseGroups reads what machines of each kind show: no machine is of all.
func TestParseGroups(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		own, mounts string
		want        groups
		parents     []string
	}{
		"version 2 under systemd": {
			own:    "0::/user.slice/user-0.slice/session-1.scope\n",
			mounts: "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			want: groups{Unified: true, Each: []group{{
				Dir: "/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope", Mount: "/sys/fs/cgroup",
			}}},
			parents: []string{"/sys/fs/cgroup"},
		},
		"version 2 in a container": {
			own:     "0::/\n",
			mounts:  "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw\n",
			want:    groups{Unified: true, Each: []group{{Dir: "/sys/fs/cgroup", Mount: "/sys/fs/cgroup"}}},
			parents: []string{"/sys/fs/cgroup"},
		},
		"version 1 under systemd, with version 2 beside it": {
			own: "3:cpu,cpuacct:/user.slice\n2:memory:/user.slice\n1:name=systemd:/user.slice/session-1.scope\n0::/user.slice/session-1.scope\n",
			mounts: "31 23 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
				"32 31 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n" +
				"33 31 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n" +
				"34 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n" +
				"35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			want: groups{Each: []group{
				{Dir: "/sys/fs/cgroup/systemd/user.slice/session-1.scope", Mount: "/sys/fs/cgroup/systemd", Options: "name=systemd"},
				{Dir: "/sys/fs/cgroup/cpu,cpuacct/user.slice", Mount: "/sys/fs/cgroup/cpu,cpuacct", Options: "cpu,cpuacct"},
				{Dir: "/sys/fs/cgroup/memory/user.slice", Mount: "/sys/fs/cgroup/memory", Options: "memory"},
			}},
			parents: []string{
				"/sys/fs/cgroup/systemd/user.slice/session-1.scope", "/sys/fs/cgroup/cpu,cpuacct/user.slice", "/sys/fs/cgroup/memory/user.slice",
			},
		},
		"version 1 in a container, which sees its own part": {
			own:     "2:memory:/docker/abc\n",
			mounts:  "35 31 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			want:    groups{Each: []group{{Dir: "/sys/fs/cgroup/memory", Mount: "/sys/fs/cgroup/memory", Options: "memory"}}},
			parents: []string{"/sys/fs/cgroup/memory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseGroups(parseOwn(test.own), strings.NewReader(test.mounts))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			var parents []string
			for _, g := range got.Each {
				parents = append(parents, g.parent(got.Unified))
			}
			if diff := cmp.Diff(test.parents, parents); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoGroups(t *testing.T) {
	t.Parallel()
	if _, err := parseGroups(nil, strings.NewReader("")); err == nil {
		t.Error("a machine without cgroups was taken")
	}
}
