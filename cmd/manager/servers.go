// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Everybody who reaches a port of the pod may open connections to it, without a token.
// controller-runtime's servers give each of them a megabyte for headers and 32 s to send
// them, without a limit of their number: 300 connections are more than the pod's memory.
const (
	maxConnections = 64
	// maxHeader is what a request may have in headers; net/http adds 4 KiB to it. A token of
	// a ServiceAccount takes 1 to 2 KiB.
	maxHeader     = 8 << 10
	headerTimeout = 2 * time.Second
	// answerTimeout bounds an answer: for metrics the API server is asked about the reader
	// first, and then some hundred kilobytes are sent.
	answerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute // longer than the usual interval of scrapes
)

// addProbes adds the server of probes. It also runs on replicas that do not lead.
func addProbes(mgr ctrl.Manager, address string) error {
	probes := http.NewServeMux()
	addCheck(probes, "/healthz", "ping", healthz.Ping)
	addCheck(probes, "/readyz", "caches", cachesSynced(mgr))
	return addServer(mgr, "health probe", address, probes, nil)
}

// fleet has the metrics about objects of one kind: those that are summed up it collects, and the
// series of single objects it writes.
type fleet interface {
	prometheus.Collector
	WriteSeries(ctx context.Context, to io.Writer) error
}

// addMetrics adds the metrics and their server. It also runs on replicas that do not lead.
func addMetrics(mgr ctrl.Manager, kube *rest.Config, s *settings, fleets []fleet) error {
	if s.metricsAddress == "0" {
		return nil
	}
	exposition := &exposition{gatherer: metrics.Registry, log: mgr.GetLogger().WithName("metrics")}
	for _, f := range fleets {
		if err := metrics.Registry.Register(f); err != nil {
			return fmt.Errorf("failed to register the metrics: %w", err)
		}
		if s.metricsPerObject {
			exposition.writeSeries = append(exposition.writeSeries, f.WriteSeries)
		}
	}
	var handler http.Handler = exposition
	var certificates *tls.Config
	var err error
	if !isLoopback(s.metricsAddress) {
		if handler, err = guardMetrics(kube, mgr.GetHTTPClient(), exposition.log, exposition); err != nil {
			return err
		}
		if certificates, err = metricsCertificates(mgr, s.metricsCertDir); err != nil {
			return err
		}
	}
	served := http.NewServeMux()
	served.Handle("/metrics", handler)
	return addServer(mgr, "metrics", s.metricsAddress, served, certificates)
}

// metricsCertificates is the configuration of TLS with the certificate in a folder, which is
// read again when it changes; or with one of our own.
func metricsCertificates(mgr ctrl.Manager, dir string) (*tls.Config, error) {
	if dir == "" {
		return selfSigned()
	}
	watcher, err := certwatcher.New(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("--metrics-cert-dir: failed to read the certificate for the metrics server: %w", err)
	}
	if err := mgr.Add(watcher); err != nil {
		return nil, fmt.Errorf("failed to watch the certificate for the metrics server: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: watcher.GetCertificate, NextProtos: []string{"http/1.1"}}, nil
}

// addCheck serves a check at a path, and below it at the name of the check, as the servers
// of controller-runtime do.
func addCheck(mux *http.ServeMux, path, name string, check healthz.Checker) {
	handler := http.StripPrefix(path, &healthz.Handler{Checks: map[string]healthz.Checker{name: check}})
	mux.Handle(path, handler)
	mux.Handle(path+"/", handler)
}

// addServer adds a server at an address, over TLS if certificates is not nil. It listens at
// once, so that an address that is in use is an error at the start. The address 0 stands for
// no server.
func addServer(mgr ctrl.Manager, name, address string, handler http.Handler, certificates *tls.Config) error {
	if address == "0" {
		return nil
	}
	listener, err := net.Listen("tcp", address) //nolint:noctx // it lives as long as the process
	if err != nil {
		return fmt.Errorf("failed to listen for the %s server: %w", name, err)
	}
	if certificates != nil {
		listener = tls.NewListener(listener, certificates)
	}
	return mgr.Add(&manager.Server{
		Name: name, Server: newServer(handler, mgr.GetLogger()), Listener: listener, ShutdownTimeout: new(headerTimeout),
	})
}

// newServer makes a server of which strangers cannot exhaust the memory.
func newServer(handler http.Handler, log logr.Logger) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true) // HTTP/2 would carry many requests on a connection
	return &http.Server{
		Handler:           handler,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout, // no request has a body
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		Protocols:         protocols,
		ConnState:         (&connections{}).changed,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(log), slog.LevelDebug), // about what strangers do
	}
}

// connections are the open connections of a server, the oldest first. If there are too many,
// the oldest is closed rather than the newest refused: a probe is answered even while
// strangers hold all connections, and an honest client that was cut off connects again.
type connections struct {
	mu   sync.Mutex
	open []net.Conn
}

// changed implements http.Server.ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open = append(c.open, conn)
		if len(c.open) > maxConnections {
			closeNow(c.open[0])
			c.open = c.open[1:]
		}
	case http.StateClosed, http.StateHijacked:
		for i, known := range c.open {
			if known == conn {
				c.open = append(c.open[:i:i], c.open[i+1:]...)
				return
			}
		}
	case http.StateActive, http.StateIdle:
	}
}

// closeNow closes a connection without the closing alert of TLS, which may wait for seconds.
func closeNow(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}

// selfSigned is the configuration of TLS with a certificate of our own: it encrypts, and
// proves nothing.
func selfSigned() (*tls.Config, error) {
	cert, key, err := certutil.GenerateSelfSignedCertKeyWithFixtures("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil, "")
	if err != nil {
		return nil, fmt.Errorf("failed to make a certificate for the metrics server: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("failed to read the certificate for the metrics server: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}, nil
}
