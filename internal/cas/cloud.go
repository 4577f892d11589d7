// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/gate"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Config configures a Cloud. The zero value works against the real cloud.
type Config struct {
	// Endpoints are URLs by region, as ParseEndpoint returns them. A region
	// without one has its built-in endpoint: never the URL of another region.
	Endpoints map[string]string
	// UploadQPS is the number of uploads, and of deletes, a second, account and
	// region; default 95 of the 100 that the cloud allows.
	UploadQPS float64
	// ListQPS is the number of lists a second, account and region; default 9 of
	// the 10 that the cloud allows.
	ListQPS float64
	// ParseName tells whose certificates the inventories hold; without it they
	// stay empty.
	ParseName inventory.ParseName
	// OwnWriteAge is how long what we wrote ourselves outweighs a list: an upload
	// shows late in it, and a deleted certificate leaves it late (F64); default
	// inventory.DefaultOwnWriteAge.
	OwnWriteAge time.Duration
	// Workers are those who call at the same time; default 60. A region that does not answer
	// may occupy a quarter of them.
	Workers int
	// ObserveWait, if set, is told how long a caller has to wait for its turn: in line, or
	// until it may ask again. It must not block.
	ObserveWait func(Pace, time.Duration)
	// Background runs what nobody waits for; default a goroutine of its own. A
	// simulation runs it at once, in order.
	Background func(func())
}

// Cloud is what all clients of CAS in a process share: gates and inventories. It is
// safe for concurrent use.
type Cloud struct {
	caller      *alibaba.Caller
	endpoints   map[string]string
	uploadQPS   float64
	listQPS     float64
	clock       alibaba.Clock
	parseName   inventory.ParseName
	ownWriteAge time.Duration
	background  func(func())
	observeWait func(Pace, time.Duration)
	gates       *gate.Gates[*inventory.Inventory]
}

// New checks the configuration and makes a Cloud that calls by the caller. Nothing is
// called.
func New(caller *alibaba.Caller, config Config) (*Cloud, error) {
	c := &Cloud{
		caller:      caller,
		endpoints:   map[string]string{},
		uploadQPS:   95,
		listQPS:     9,
		clock:       caller.Clock(),
		parseName:   config.ParseName,
		ownWriteAge: config.OwnWriteAge,
		background:  config.Background,
		observeWait: config.ObserveWait,
	}
	if err := c.setEndpoints(config.Endpoints); err != nil {
		return nil, err
	}
	if err := errors.Join(setRate(&c.uploadQPS, config.UploadQPS, "upload"), setRate(&c.listQPS, config.ListQPS, "list")); err != nil {
		return nil, err
	}
	c.gates = gate.New(gate.Config[*inventory.Inventory]{
		Clock: c.clock, Workers: cmp.Or(config.Workers, defaultWorkers), Rates: c.rates,
		Fresh: c.newInventory, Merge: func(from, to *inventory.Inventory) { to.Merge(from) },
		// A deletion has time, and may go unanswered for the sake of one certificate.
		HasTime: func(action alibaba.Action) bool { return action == ActionDelete },
	})
	return c, nil
}

// defaultWorkers is the default of Config.Workers.
const defaultWorkers = 60

// rates are the calls a second of an account in any region.
func (c *Cloud) rates(gate.Place) map[alibaba.Action]float64 {
	return map[alibaba.Action]float64{ActionUpload: c.uploadQPS, ActionDelete: c.uploadQPS, ActionList: c.listQPS}
}

// Begin says that calls may be made from now on; see gate.Gates.Begin.
func (c *Cloud) Begin() { c.gates.Begin() }

func (c *Cloud) setEndpoints(endpoints map[string]string) error {
	for _, region := range Regions() {
		c.endpoints[region] = builtinEndpoints[region]
	}
	for region, raw := range endpoints {
		if !slices.Contains(Regions(), region) {
			return fmt.Errorf("endpoint of an unknown region %q: use one of %s", region, strings.Join(Regions(), ", "))
		}
		endpoint, err := alibaba.CheckEndpoint(raw)
		if err != nil {
			return fmt.Errorf("endpoint of region %s: %w", region, err)
		}
		c.endpoints[region] = endpoint
	}
	return nil
}

func setRate(rate *float64, value float64, name string) error {
	if value == 0 {
		return nil
	}
	if !ratelimit.ValidRate(value) {
		return fmt.Errorf("%s rate of %v a second: must be above 0 and at most 10000", name, value)
	}
	*rate = value
	return nil
}
