// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// bustle makes and deletes a certificate in turn, one a second, until it is told to stop. It
// returns those that were there all the time.
func bustle(t *testing.T, server *emulator.Server, stop <-chan struct{}) (stayed map[int64]string) {
	upload, _ := newCertificate(t, "www.example.com")
	r := rand.New(rand.NewPCG(1, 14))
	stayed = map[int64]string{}
	all := server.Certificates(testAccount, RegionChina)
	for _, c := range all {
		stayed[c.CertID] = c.Name
	}
	for n := 0; ; n++ {
		select {
		case <-stop:
			return stayed
		case <-time.After(time.Second):
		}
		if n%2 == 0 {
			if _, err := server.AddForeign(testAccount, RegionChina, emulator.Foreign{Name: fmt.Sprintf("web_n%d_0", n), PEM: upload.Certificate}); err != nil {
				t.Error(err)
			}
			continue
		}
		id := all[r.IntN(len(all))].CertID
		server.DeleteOutOfBand(testAccount, RegionChina, id)
		delete(stayed, id)
	}
}

// sweepWaited asks for a sweep until it is at hand, as those do who wait for it.
func sweepWaited(client *Client) error {
	for since := time.Now(); ; {
		err := client.SweptSince(since)
		after, throttled := alibaba.RetryAfter(err)
		if !throttled {
			return err
		}
		time.Sleep(after)
	}
}

func TestSweepsOfAnAccountInUseCount(t *testing.T) {
	t.Parallel()
	const certificates = 2000
	for name, oldestFirst := range map[string]bool{"newest first": false, "oldest first": true} {
		for pace, sweep := range map[string]func(*testing.T, *Client) error{
			"at leisure":        func(t *testing.T, c *Client) error { return c.Sweep(t.Context()) },
			"while others wait": func(_ *testing.T, c *Client) error { return sweepWaited(c) },
		} {
			t.Run(name+", "+pace, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					client, server, lists := inventoryClient(t, emulator.Options{Unknowns: emulator.Unknowns{ListOldestFirst: oldestFirst}})
					fill(t, server, certificates)
					if err := sweep(t, client); err != nil {
						t.Fatal(err)
					}
					quiet := lists.Load()
					stop, result := make(chan struct{}), make(chan map[int64]string)
					go func() { result <- bustle(t, server, stop) }()
					for range 3 {
						if err := sweep(t, client); err != nil {
							t.Error(err)
						}
					}
					close(stop)
					if calls := lists.Load() - quiet; 10*calls > 3*12*quiet {
						t.Errorf("3 sweeps took %d calls, more than 1.2 times the %d of one at rest each", calls, quiet)
					}
					for id, name := range <-result {
						identity, content, _ := parseTestName(name)
						if e, ok := client.Inventory().Find(identity, content); !ok || e.CertID != id {
							t.Errorf("certificate %d was there all the time and is not known", id)
						}
					}
				})
			})
		}
	}
}
