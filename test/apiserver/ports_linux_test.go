// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// mostGrowth is what strangers may add to the memory of the operator, in KiB.
const mostGrowth = 20 << 10

// TestStrangersAtThePorts opens 300 connections at a time to the ports of the real
// operator, each of which sends megabytes of headers that never end. Nobody asks them for a
// token. The operator is built as people run it: the race detector multiplies its memory.
func TestStrangersAtThePorts(t *testing.T) {
	t.Parallel()
	plain, err := plainManager()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		flag   string // the port that is open to strangers
		secure bool
	}{
		"metrics": {"--metrics-bind-address", true},
		"probes":  {"--health-probe-bind-address", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			free, err := testbed.FreeAddress()
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(free)
			probes, err := testbed.FreeAddress()
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, emulator.Options{})
			args := append(w.args, "--health-probe-bind-address="+probes, tc.flag+"=:"+port) // the last one of a flag counts
			if !tc.secure {
				probes = free
			}
			if w.manager, err = testbed.Start(ctx, plain, w.env, args...); err != nil {
				t.Fatal(err)
			}
			ready, cancel := context.WithTimeout(ctx, deadline)
			defer cancel()
			if err := w.manager.WaitReady(ready, "http://"+probes+"/readyz"); err != nil {
				t.Fatal(err)
			}
			before := residentKiB(t, w.manager.PID())
			most, refused, inARow := before, 0, 0
			closeAll := besiege(t, "127.0.0.1:"+port, tc.secure)
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				most = max(most, residentKiB(t, w.manager.PID()))
				if answersProbe(probes) {
					inARow = 0
					continue
				}
				inARow++
				refused = max(refused, inARow)
			}
			closeAll()
			if most-before > mostGrowth {
				t.Errorf("strangers make the operator grow by %d KiB, from %d KiB", most-before, before)
			}
			if refused >= failureThreshold {
				t.Errorf("%d probes in a row were not answered", refused)
			}
			t.Logf("grew by %d KiB, from %d KiB", most-before, before)
		})
	}
}

// failureThreshold is how many probes in a row the kubelet lets fail before it does anything. One alone may come
// too late on a machine that is busy: the server waits two seconds for its headers.
const failureThreshold = 3

// besiege opens connections that send headers without an end, until they are closed.
func besiege(t *testing.T, address string, secure bool) (closeAll func()) {
	t.Helper()
	var open []net.Conn
	for range 300 {
		conn, err := net.DialTimeout("tcp", address, deadline)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		go func() {
			var stream io.Writer = conn
			if secure {
				stream = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			}
			_, _ = fmt.Fprintf(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(stream, "X-%d: %s\r\n", i, strings.Repeat("a", 60<<10)); err != nil {
					return
				}
			}
		}()
	}
	return func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}
}

// answersProbe asks for longer than the kubelet does, because other tests take the CPU.
func answersProbe(address string) bool {
	probe := &http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := probe.Get("http://" + address + "/healthz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// residentKiB is the resident memory of a process.
func residentKiB(t *testing.T, pid int) (kib int) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
		}
	}
	return kib
}
