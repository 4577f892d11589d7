// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// serve serves a handler that says hello, over TLS where certificates are given, and returns
// the address.
func serve(t *testing.T, certificates *tls.Config) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if certificates != nil {
		listener = tls.NewListener(listener, certificates)
	}
	server := newServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), logr.Discard())
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return address
}

// patience bounds waits for what the server does by itself: far longer than that takes on a busy machine.
const patience = 3 * time.Minute

// TestStrangersKeepNobodyOut opens more connections than there may be, which never end
// their headers.
func TestStrangersKeepNobodyOut(t *testing.T) {
	t.Parallel()
	secure, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	trusting := &tls.Config{InsecureSkipVerify: true} // the server's certificate is its own
	for name, tc := range map[string]struct {
		certificates *tls.Config
		scheme       string
	}{"in the open": {nil, "http"}, "over TLS": {secure, "https"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, tc.certificates)
			var held []net.Conn
			for range 3 * maxConnections {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				if tc.certificates == nil {
					_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
				}
				held = append(held, conn)
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting}, Timeout: patience}
			defer client.CloseIdleConnections()
			answer, err := client.Get(tc.scheme + "://" + address)
			if err != nil {
				t.Fatalf("an honest request: %v", err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("an honest request: %s", answer.Status)
			}
			for i, conn := range held {
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
					t.Fatalf("connection %d is still open", i)
				}
			}
		})
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	address := serve(t, nil)
	for name, tc := range map[string]struct{ bytes, want int }{
		"a token":            {2 << 10, http.StatusOK},
		"more than is taken": {16 << 10, http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+strings.Repeat("x", tc.bytes))
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != tc.want {
				t.Errorf("answered %s, want %d", answer.Status, tc.want)
			}
		})
	}
}
