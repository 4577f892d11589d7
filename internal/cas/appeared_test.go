// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

func TestWhatAppearsAfterTheFirstSweepIsToldApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := inventoryClient(t, emulator.Options{})
		sweep := func() {
			t.Helper()
			if err := client.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		fill(t, server, 1)
		sweep()
		upload, _ := newCertificate(t, "other.example.com")
		if _, err := server.AddForeign(testAccount, RegionChina, emulator.Foreign{Name: "web_00000_9", PEM: upload.Certificate}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			sweep()
			v := client.Inventory()
			before, _ := v.Find("00000", "0")
			after, _ := v.Find("00000", "9")
			if before.Appeared || !after.Appeared {
				t.Errorf("there before the first sweep: %t; after it: %t", before.Appeared, after.Appeared)
			}
		}
	})
}

func TestASweepThatFailedIsTriedAtOnceWhenAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, lists := inventoryClient(t, emulator.Options{})
		server.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: string(ActionList), Count: 1})
		since := time.Now()
		fails := func() bool {
			err := client.SweptSince(since)
			time.Sleep(time.Second)
			return alibaba.IsDenied(err)
		}
		fails() // starts it
		if !fails() || lists.Load() != 1 {
			t.Fatalf("the failure is not remembered after %d calls", lists.Load())
		}
		client.Inventory().Retry()
		fails()
		if err := client.SweptSince(since); err != nil {
			t.Errorf("still %v", err)
		}
	})
}
