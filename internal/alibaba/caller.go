// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/recent"
)

// Clock tells the time; a test brings its own.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type realClock struct{}

func (realClock) Now() time.Time                         { return time.Now() }
func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Config configures a Caller. The zero value works against the real cloud.
type Config struct {
	// STSEndpoint is the URL of STS, for all regions; default the public one.
	STSEndpoint string
	// RootCAs verify the cloud; default the system's.
	RootCAs *x509.CertPool
	// UserAgent is sent with every call; default "cloudcert".
	UserAgent string
	// Node is the one on which this process runs, for messages about its clock; empty where
	// that is not known.
	Node string
	// Clock is for tests; default the real one.
	Clock Clock
	// Observe, if set, is told of every call that was sent, with the context of whoever asked for
	// it. It must not block.
	Observe func(context.Context, CallInfo)
	// ObserveRefresh, if set, is told of every attempt to renew temporary credentials. It
	// must not block.
	ObserveRefresh func(RefreshInfo)
	// ObserveAccount, if set, is told the account of each credential when it is learned. It must
	// not block.
	ObserveAccount func(AccountInfo)
	// Transport replaces the connections to the cloud, for tests that put
	// something in between; default our own.
	Transport http.RoundTripper
}

// Caller is what all calls of a process share: connections, and what is known about
// credentials. It is safe for concurrent use.
type Caller struct {
	stsEndpoint string
	userAgent   string
	node        string
	clock       Clock
	onCall      func(context.Context, CallInfo)
	onRefresh   func(RefreshInfo)
	onAccount   func(AccountInfo)
	http        *http.Client

	mu        sync.Mutex
	known     *recent.Map[string, *Identity] // by the provider's id, the operator's own and those whose account is known
	strangers *recent.Map[string, *Identity] // the others, which anybody can make up
}

// How many identities are kept at least, of which each takes some hundred bytes. Whoever may
// write a Secret of credentials can make up as many as they like; those whose account is known
// do not give way to them.
const (
	maxKnown     = 2048
	maxStrangers = 256
)

// New checks the configuration and makes a Caller. Nothing is called.
func New(config Config) (*Caller, error) {
	c := &Caller{
		stsEndpoint: builtinSTSEndpoint,
		userAgent:   "cloudcert",
		node:        config.Node,
		clock:       realClock{},
		onCall:      config.Observe,
		onRefresh:   config.ObserveRefresh,
		onAccount:   config.ObserveAccount,
		http:        newHTTPClient(config.RootCAs),
		known:       recent.New[string, *Identity](maxKnown, IdleAfter),
		strangers:   recent.New[string, *Identity](maxStrangers, IdleAfter),
	}
	if config.Transport != nil {
		c.http.Transport = config.Transport
	}
	if config.UserAgent != "" {
		c.userAgent = config.UserAgent
	}
	if config.Clock != nil {
		c.clock = config.Clock
	}
	if config.STSEndpoint == "" {
		return c, nil
	}
	endpoint, err := CheckEndpoint(config.STSEndpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint of STS: %w", err)
	}
	c.stsEndpoint = endpoint
	return c, nil
}

// Clock returns the clock by which the calls are made.
func (c *Caller) Clock() Clock { return c.clock }

// CloseIdleConnections closes connections that are not in use.
func (c *Caller) CloseIdleConnections() { c.http.CloseIdleConnections() }

// newHTTPClient makes the one client of a Caller. Redirects are not followed:
// they would carry keys elsewhere. http.ProxyFromEnvironment leaves loopback
// addresses alone.
//
// It speaks HTTP/1.1 alone: with GODEBUG=http2debug=2 net/http prints the frames of HTTP/2,
// and with them the private keys. A dead connection, which HTTP/2 would find by a ping, is
// found by TCP's keep-alive within half a minute.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	alive := net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 3 * time.Second, KeepAliveConfig: alive}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:   3 * time.Second,
			Protocols:             protocols,
			MaxIdleConns:          256,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       90 * time.Second,
			ResponseHeaderTimeout: CallTimeout,
			// net/http would take 10 MiB.
			MaxResponseHeaderBytes: maxAnswer,
			DisableCompression:     true,
		},
	}
}
