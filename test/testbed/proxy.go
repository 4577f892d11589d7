// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Request is one request to the API server.
type Request struct {
	Method, Path string
	Query        url.Values
	Body         string // of a write
}

// Proxy stands between an operator and the API server, and remembers what was
// asked.
type Proxy struct {
	server *httptest.Server

	mu       sync.Mutex
	requests []Request
}

// NewProxy starts a proxy that reaches the API server with config's credentials.
func NewProxy(config *rest.Config) (*Proxy, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	p := &Proxy{}
	reverse := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // a watch is a stream
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p.remember(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reverse.ServeHTTP(w, r)
	}))
	return p, nil
}

// remember notes a request, and lets its body be read again.
func (p *Proxy) remember(r *http.Request) error {
	note := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query()}
	if r.Method != http.MethodGet {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		note.Body, r.Body = string(body), io.NopCloser(bytes.NewReader(body))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, note)
	return nil
}

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// Cut ends every connection through the proxy; new ones are taken.
func (p *Proxy) Cut() { p.server.CloseClientConnections() }

// Requests are all requests so far.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// WriteKubeconfig writes a kubeconfig that leads through the proxy into dir.
func (p *Proxy) WriteKubeconfig(dir string) (string, error) {
	path := filepath.Join(dir, "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: p.server.URL}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c"}
	config.CurrentContext = "c"
	raw, err := clientcmd.Write(*config)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return "", fmt.Errorf("failed to write the kubeconfig: %w", err)
	}
	return path, nil
}
