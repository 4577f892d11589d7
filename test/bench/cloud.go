// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// The actions that are told apart.
const (
	actionUpload   = "UploadUserCertificate"
	actionList     = "ListUserCertificateOrder"
	actionIdentity = "GetCallerIdentity"
)

// onTheWay is the latency of the cloud, half of it before a call is counted.
func onTheWay(base, jitter time.Duration) []string {
	return []string{
		"--latency-before=" + (base / 2).String(), "--latency-before-jitter=" + (jitter / 2).String(),
		"--latency-after=" + (base / 2).String(), "--latency-after-jitter=" + (jitter / 2).String(),
	}
}

// usualLatency is that of a cloud in the same country: 150 ± 50 ms.
func usualLatency() []string { return onTheWay(150*time.Millisecond, 50*time.Millisecond) }

// cloud is a running emulator with the account's strict limits.
type cloud struct {
	*testbed.Process
	addresses map[string]string
}

func (b *bench) startCloud(ctx context.Context, dir string, args ...string) (*cloud, error) {
	file := filepath.Join(dir, "addresses.json")
	// nice: a cloud has cores of its own. One that waits for ours counts calls in another
	// second than that in which they were sent. Who may not ask for that runs without.
	process, err := testbed.Start(ctx, "nice", nil, append([]string{
		"-n", "-15", b.cloud,
		"--listen=127.0.0.1:0", "--listen-international=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
		"--addresses-file=" + file, "--account=" + account + ":" + accessKey + ":" + accessSecret,
	}, args...)...)
	if err != nil {
		return nil, err
	}
	c := &cloud{Process: process}
	return c, eventually(ctx, time.Minute, 20*time.Millisecond, "the emulator to listen", func() (bool, error) {
		if c.Exited() {
			return false, fmt.Errorf("the emulator ended:\n%s", c.Output())
		}
		raw, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(raw, &c.addresses) == nil, nil
	})
}

func (c *cloud) url(region string) string { return "http://" + c.addresses[region] }

// calls are the calls after a number, by their arrival.
func (c *cloud) calls(ctx context.Context, after int64) ([]emulator.Call, error) {
	var calls []emulator.Call
	err := getJSON(ctx, fmt.Sprintf("http://%s/journal?after=%d", c.addresses["admin"], after), &calls)
	return calls, err
}

// mark is the number of the last call.
func (c *cloud) mark(ctx context.Context) (int64, error) {
	calls, err := c.calls(ctx, 0)
	if err != nil || len(calls) == 0 {
		return 0, err
	}
	return calls[len(calls)-1].Number, nil
}

// made is how many calls of an action succeeded.
func (c *cloud) made(ctx context.Context, action string) (int, error) {
	var counters []emulator.Counter
	if err := getJSON(ctx, "http://"+c.addresses["admin"]+"/counters", &counters); err != nil {
		return 0, err
	}
	n := 0
	for _, counter := range counters {
		if counter.Action == action {
			n += counter.Outcomes["OK"]
		}
	}
	return n, nil
}

// waitUploads waits until so many uploads succeeded.
func (c *cloud) waitUploads(ctx context.Context, want int, patience time.Duration) error {
	return eventually(ctx, patience, 100*time.Millisecond, fmt.Sprintf("%d uploads", want), func() (bool, error) {
		n, err := c.made(ctx, actionUpload)
		return n >= want, err
	})
}

// tally sums up calls.
type tally struct {
	all, throttled, lists int
	uploads               []time.Time          // that made a certificate, when they did
	byName                map[string]time.Time // the same by name
}

func sumUp(calls []emulator.Call) tally {
	t := tally{byName: map[string]time.Time{}}
	for _, call := range calls {
		t.all++
		if isThrottled(call.Code) {
			t.throttled++
		}
		if call.Action == actionList {
			t.lists++
		}
		if call.Action == actionUpload && call.Committed {
			t.uploads = append(t.uploads, call.Decided)
			t.byName[call.Name] = call.Decided
		}
	}
	return t
}

func isThrottled(code string) bool { return len(code) >= 10 && code[:10] == "Throttling" }

// get reads a URL on this machine.
func get(ctx context.Context, web *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := web.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, err
}

func getJSON(ctx context.Context, url string, into any) error {
	body, err := get(ctx, http.DefaultClient, url)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// eventually asks until the answer is yes.
func eventually(ctx context.Context, patience, pause time.Duration, what string, ask func() (bool, error)) error {
	return testbed.Eventually(ctx, patience, pause, func() (string, error) {
		if yes, err := ask(); yes || err != nil {
			return "", err
		}
		return what, nil
	})
}

// sleep waits, unless the run ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
