// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command cas-emulator serves Alibaba Cloud's Certificate Management Service on
// this machine, for development and tests without an account.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "cas-emulator:", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if c.logCalls {
		c.options.Log = slog.New(slog.NewTextHandler(stderr, nil))
	}
	cloud := emulator.New(c.options)
	defer cloud.Close()
	doors, err := open(c, cloud)
	if err != nil {
		return err
	}
	if err := announce(c, doors, stdout); err != nil {
		closeAll(doors)
		return err
	}
	return serve(ctx, cloud, doors)
}

// door is a server and the address that it listens on.
type door struct {
	name, scheme string
	listener     net.Listener
	server       *http.Server
}

// open listens on every address.
func open(c config, cloud *emulator.Server) ([]*door, error) {
	security, err := c.tls()
	if err != nil {
		return nil, err
	}
	used := products.New(cloud, c.productOptions)
	admin := http.NewServeMux()
	admin.Handle("/", cloud.AdminHandler())
	admin.Handle("/emulator/", used.AdminHandler())
	type wanted struct {
		name, address string
		handler       http.Handler
		security      *tls.Config
	}
	all := []wanted{
		{emulator.RegionChina, c.listen, cloud.Handler(emulator.RegionChina), security},
		{emulator.RegionInternational, c.listenInternational, cloud.Handler(emulator.RegionInternational), security},
		{"admin", c.adminListen, admin, nil},
	}
	for _, d := range c.productDoors {
		all = append(all, wanted{d.name, d.address, used.Handler(d.product, d.region), security})
	}
	var doors []*door
	for _, d := range all {
		opened, err := openDoor(d.name, d.address, d.handler, d.security)
		if err != nil {
			closeAll(doors)
			return nil, err
		}
		doors = append(doors, opened)
	}
	return doors, nil
}

func openDoor(name, address string, handler http.Handler, security *tls.Config) (*door, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("failed to listen for %s: %w", name, err)
	}
	bound, ok := listener.Addr().(*net.TCPAddr)
	if security == nil && (!ok || !bound.IP.IsLoopback()) {
		_ = listener.Close()
		return nil, fmt.Errorf("%s for %s is not loopback: plain HTTP carries private keys there alone", address, name)
	}
	d := &door{name: name, scheme: "http", listener: listener, server: &http.Server{
		Handler: handler,
		// A clone, because a server adds to its configuration.
		TLSConfig:         security.Clone(),
		ReadHeaderTimeout: 10 * time.Second,
		// net/http logs broken handshakes and connections of clients, which say nothing here.
		ErrorLog: log.New(io.Discard, "", 0),
	}}
	if security != nil {
		d.scheme = "https"
	}
	return d, nil
}

func closeAll(doors []*door) {
	for _, d := range doors {
		_ = d.listener.Close()
	}
}

// announce prints the bound addresses and writes them for scripts.
func announce(c config, doors []*door, stdout io.Writer) error {
	addresses := map[string]string{}
	for _, d := range doors {
		addresses[d.name] = d.listener.Addr().String()
		fmt.Fprintf(stdout, "%-14s %s://%s\n", d.name, d.scheme, d.listener.Addr())
	}
	if c.addressesFile == "" {
		return nil
	}
	raw, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	return writeWhole(c.addressesFile, append(raw, '\n'))
}

// writeWhole makes the file appear with all of its content: readers wait for it.
func writeWhole(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("failed to write the addresses: %w", err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("failed to write the addresses: %w", err), os.Remove(file.Name()))
	}
	return nil
}

// serve runs until the context ends or a server fails, and lets calls finish.
func serve(ctx context.Context, cloud *emulator.Server, doors []*door) error {
	failed := make(chan error, len(doors))
	for _, d := range doors {
		go func() {
			if d.scheme == "https" {
				failed <- d.server.ServeTLS(d.listener, "", "")
				return
			}
			failed <- d.server.Serve(d.listener)
		}()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cloud.Close()
	// A fresh context: that of the run has ended.
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, d := range doors {
		err = errors.Join(err, d.server.Shutdown(grace))
	}
	return err
}
