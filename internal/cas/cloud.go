// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Clock tells the time; a test brings its own.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type realClock struct{}

func (realClock) Now() time.Time                         { return time.Now() }
func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Config configures a Cloud. The zero value works against the real cloud.
type Config struct {
	// Endpoints are URLs by region, as ParseEndpoint returns them. A region
	// without one has its built-in endpoint: never the URL of another region.
	Endpoints map[string]string
	// STSEndpoint is the URL of STS, for all sites; default the public one.
	STSEndpoint string
	// RootCAs verify the cloud; default the system's.
	RootCAs *x509.CertPool
	// UploadQPS is the number of uploads, and of deletes, a second, account and
	// site; default 95 of the 100 that the cloud allows.
	UploadQPS float64
	// ListQPS is the number of lists a second, account and site; default 9 of
	// the 10 that the cloud allows.
	ListQPS float64
	// UserAgent is sent with every call; default "cloudcert".
	UserAgent string
	// Clock is for tests; default the real one.
	Clock Clock
	// Observe, if set, is told of every call that was sent. It must not block.
	Observe func(CallInfo)
	// ParseName tells whose certificates the inventories hold; without it they
	// stay empty.
	ParseName ParseName
	// OwnWriteAge is how long what we wrote ourselves outweighs a list: an upload
	// shows late in it, and a deleted certificate leaves it late (F64); default
	// DefaultOwnWriteAge.
	OwnWriteAge time.Duration
	// Transport replaces the connections to the cloud, for tests that put
	// something in between; default our own.
	Transport http.RoundTripper
	// Background runs what nobody waits for; default a goroutine of its own. A
	// simulation runs it at once, in order.
	Background func(func())
}

// Cloud is what all clients of a process share: connections, limiters, and what
// is known about credentials. It is safe for concurrent use.
type Cloud struct {
	endpoints   map[string]string
	stsEndpoint string
	userAgent   string
	uploadQPS   float64
	listQPS     float64
	clock       Clock
	onCall      func(CallInfo)
	parseName   ParseName
	ownWriteAge time.Duration
	background  func(func())
	http        *http.Client

	mu          sync.Mutex
	began       time.Time            // see Begin; zero before
	identities  map[string]*identity // by the provider's id
	limiters    map[budget]limiters
	inventories map[budget]*Inventory
}

// New checks the configuration and makes a Cloud. Nothing is called.
func New(config Config) (*Cloud, error) {
	c := &Cloud{
		endpoints:   map[string]string{},
		stsEndpoint: builtinSTSEndpoint,
		userAgent:   "cloudcert",
		uploadQPS:   95,
		listQPS:     9,
		clock:       realClock{},
		onCall:      config.Observe,
		parseName:   config.ParseName,
		ownWriteAge: config.OwnWriteAge,
		background:  config.Background,
		http:        newHTTPClient(config.RootCAs),
		identities:  map[string]*identity{},
		limiters:    map[budget]limiters{},
		inventories: map[budget]*Inventory{},
	}
	if config.Transport != nil {
		c.http.Transport = config.Transport
	}
	if c.ownWriteAge == 0 {
		c.ownWriteAge = DefaultOwnWriteAge
	}
	if c.background == nil {
		c.background = func(f func()) { go f() }
	}
	if config.UserAgent != "" {
		c.userAgent = config.UserAgent
	}
	if config.Clock != nil {
		c.clock = config.Clock
	}
	if err := c.setEndpoints(config); err != nil {
		return nil, err
	}
	if err := errors.Join(setRate(&c.uploadQPS, config.UploadQPS, "upload"), setRate(&c.listQPS, config.ListQPS, "list")); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cloud) setEndpoints(config Config) error {
	for _, region := range Sites() {
		c.endpoints[region] = builtinEndpoints[region]
	}
	for region, raw := range config.Endpoints {
		if !slices.Contains(Sites(), region) {
			return fmt.Errorf("endpoint of an unknown region %q: use one of %s", region, strings.Join(Sites(), ", "))
		}
		endpoint, err := checkEndpoint(raw)
		if err != nil {
			return fmt.Errorf("endpoint of region %s: %w", region, err)
		}
		c.endpoints[region] = endpoint
	}
	if config.STSEndpoint == "" {
		return nil
	}
	endpoint, err := checkEndpoint(config.STSEndpoint)
	if err != nil {
		return fmt.Errorf("endpoint of STS: %w", err)
	}
	c.stsEndpoint = endpoint
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

// CloseIdleConnections closes connections that are not in use.
func (c *Cloud) CloseIdleConnections() { c.http.CloseIdleConnections() }

// newHTTPClient makes the one client of a Cloud. Redirects are not followed:
// they would carry keys elsewhere. http.ProxyFromEnvironment leaves loopback
// addresses alone.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:   3 * time.Second,
			ForceAttemptHTTP2:     true,
			HTTP2:                 &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 2 * time.Second},
			MaxIdleConns:          256,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       90 * time.Second,
			ResponseHeaderTimeout: callTimeout,
			DisableCompression:    true,
		},
	}
}
