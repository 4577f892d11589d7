// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of times in /proc (USER_HZ), the same on every Linux.
const tick = 10 * time.Millisecond

// usage is what a process takes, as the kernel says.
type usage struct {
	rss, peak int64         // bytes: now, and the most since it started
	cpu       time.Duration // since it started
}

// usageOf reads the usage of a process.
func usageOf(pid int) (usage, error) {
	var u usage
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("memory is read from /proc: %w", err)
	}
	if u.rss, err = statusBytes(string(status), "VmRSS"); err != nil {
		return u, err
	}
	if u.peak, err = statusBytes(string(status), "VmHWM"); err != nil {
		return u, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	_, u.cpu, err = parseStat(string(stat))
	return u, err
}

// statusBytes finds a size in /proc/<pid>/status.
func statusBytes(status, field string) (int64, error) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		if name != field {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		return kib * 1024, err
	}
	return 0, fmt.Errorf("no %s in the process's status", field)
}

// parseStat reads the parent and the CPU time from /proc/<pid>/stat. The name of the
// command stands in parentheses and may hold anything.
func parseStat(stat string) (parent int, cpu time.Duration, err error) {
	_, rest, ok := cutLast(stat, ")")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, 0, errors.New("a process's stat is too short")
	}
	parent, err = strconv.Atoi(fields[1])
	user, err2 := strconv.ParseInt(fields[11], 10, 64)
	system, err3 := strconv.ParseInt(fields[12], 10, 64)
	return parent, time.Duration(user+system) * tick, errors.Join(err, err2, err3)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// load is the CPU time that the machine and this benchmark with all its processes
// have spent.
type load struct{ machine, ours time.Duration }

// share is the load of a scenario, in cores.
type share struct {
	Ours   float64 `json:"oursCores"`
	Others float64 `json:"othersCores"`
}

func (l load) since(before load, elapsed time.Duration) *share {
	ours := (l.ours - before.ours).Seconds() / elapsed.Seconds()
	return &share{Ours: ours, Others: max(0, (l.machine-before.machine).Seconds()/elapsed.Seconds()-ours)}
}

// readLoad is best effort: it tells how busy others kept the machine.
func readLoad() load {
	var l load
	if raw, err := os.ReadFile("/proc/stat"); err == nil {
		l.machine = parseMachine(string(raw))
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			l.ours += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if parent, cpu, err := parseStat(string(raw)); err == nil && parent == os.Getpid() {
			l.ours += cpu
		}
	}
	return l
}

// parseMachine adds up the time that was not idle, from the first line of /proc/stat:
// user nice system idle iowait irq softirq steal.
func parseMachine(stat string) time.Duration {
	line, _, _ := strings.Cut(stat, "\n")
	var busy time.Duration
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err == nil && i >= 1 && i <= 8 && i != 4 && i != 5 {
			busy += time.Duration(n) * tick
		}
	}
	return busy
}

// machine describes where this runs, without saying which one it is.
func machine() string {
	memory := "memory unknown"
	if file, err := os.Open("/proc/meminfo"); err == nil {
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "MemTotal:" {
				kib, _ := strconv.ParseInt(fields[1], 10, 64)
				memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
			}
		}
	}
	return fmt.Sprintf("%d cores, %s", runtime.NumCPU(), memory)
}
