// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the command: a process of its own without
// building it a second time.
func TestMain(m *testing.M) {
	if os.Getenv("CAS_EMULATOR_IS_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is the command, running.
type process struct {
	cmd       *exec.Cmd
	addresses map[string]string
	output    *bytes.Buffer
}

// start runs the command on free ports and waits until it listens.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "addresses.json")
	p := &process{output: &bytes.Buffer{}}
	args = append([]string{"--listen=127.0.0.1:0", "--listen-international=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--addresses-file=" + file}, args...)
	p.cmd = exec.CommandContext(context.Background(), os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), "CAS_EMULATOR_IS_COMMAND=1")
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if err := <-exited; err != nil {
			t.Errorf("the command ended with %v:\n%s", err, p.output)
		}
	})
	for {
		raw, err := os.ReadFile(file)
		if err == nil {
			if err := json.Unmarshal(raw, &p.addresses); err != nil {
				t.Fatalf("addresses are not whole when they appear: %v: %q", err, raw)
			}
			return p
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("the command ended with %v:\n%s", err, p.output)
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the command does not listen")
		}
	}
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestTheCommandServesAndStopsOnSIGTERM(t *testing.T) {
	t.Parallel()
	p := start(t, "--log-calls", "--account=42:LTAIone:first-secret", "--account=42:LTAItwo:second-secret",
		"--role=acs:ram::42:role/web,acs:ram::42:oidc-provider/cluster")
	for _, region := range []string{"cn-hangzhou", "ap-southeast-1"} {
		response, body := get(t, http.DefaultClient, "http://"+p.addresses[region]+"/?Action=GetCallerIdentity&Version=2015-04-01&Format=JSON")
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"Code":"IncompleteSignature"`) {
			t.Errorf("%s answers %d %s", region, response.StatusCode, body)
		}
	}
	_, body := get(t, http.DefaultClient, "http://"+p.addresses["admin"]+"/accounts")
	for _, want := range []string{`"id": "42"`, "LTAIone", "LTAItwo", "acs:ram::42:role/web"} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
	if strings.Contains(body, "-secret") {
		t.Error("the admin interface shows a secret")
	}
}

func TestTheCommandServesProducts(t *testing.T) {
	t.Parallel()
	p := start(t, "--product=alb=127.0.0.1:0", "--product=cdn/cn-hangzhou=127.0.0.1:0", "--product=oss/cn-shanghai=127.0.0.1:0", "--configuring=200ms")
	for name, call := range map[string]string{
		"alb":             "Action=GetListenerAttribute&Version=2020-06-16",
		"cdn/cn-hangzhou": "Action=DescribeDomainCertificateInfo&Version=2018-05-10",
	} {
		_, body := get(t, http.DefaultClient, "http://"+p.addresses[name]+"/?Format=JSON&"+call)
		if !strings.Contains(body, `"Code":"IncompleteSignature"`) {
			t.Errorf("%s answers %s", name, body)
		}
	}
	response, body := get(t, http.DefaultClient, "http://"+p.addresses["oss/cn-shanghai"]+"/web-assets/?cname")
	if response.StatusCode != http.StatusForbidden || !strings.Contains(body, "<Code>AccessDenied</Code>") {
		t.Errorf("oss answers %d %s", response.StatusCode, body)
	}
	if response, _ := get(t, http.DefaultClient, "http://"+p.addresses["admin"]+"/emulator/handshake?listener=lsn-1"); response.StatusCode != http.StatusNotFound {
		t.Errorf("the handshake of no listener has status %d", response.StatusCode)
	}
}

func TestTheCommandServesHTTP2OverTLS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, content := range map[string][]byte{certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, "--tls-cert-file="+certFile, "--tls-key-file="+keyFile)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, _ := get(t, &http.Client{Transport: transport}, "https://"+p.addresses["cn-hangzhou"]+"/")
	if response.ProtoMajor != 2 {
		t.Errorf("served by HTTP/%d, want 2", response.ProtoMajor)
	}
}

func TestBadFlagsAreRefusedWithoutShowingSecrets(t *testing.T) {
	t.Parallel()
	const secret = "very-secret"
	tests := map[string]struct {
		args []string
		want string
	}{
		"an account without a key id":      {[]string{"--account=1::" + secret}, "invalid --account"},
		"one key of two accounts":          {[]string{"--account=1:k:" + secret, "--account=2:k:" + secret}, "there twice"},
		"a role without a provider":        {[]string{"--role=acs:ram::1:role/x"}, "invalid --role"},
		"a certificate without its key":    {[]string{"--tls-cert-file=x"}, "belong together"},
		"a limit of nothing":               {[]string{"--upload-limit=0"}, "limit of 0"},
		"a negative latency":               {[]string{"--latency-before=-1s"}, "negative"},
		"an unknown answer to revoked":     {[]string{"--revoked-uploads=none"}, "--revoked-uploads"},
		"a product that is none":           {[]string{"--product=fan=127.0.0.1:0"}, "invalid --product"},
		"a product where it is not":        {[]string{"--product=alb/cn-huhehaote=127.0.0.1:0"}, "invalid --product"},
		"a product without an address":     {[]string{"--product=alb"}, "invalid --product"},
		"a product beyond loopback":        {[]string{"--listen=127.0.0.1:0", "--listen-international=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--product=alb=0.0.0.0:0"}, "not loopback"},
		"a negative time to be changed":    {[]string{"--configuring=-1s"}, "negative"},
		"an argument that is no flag":      {[]string{"serve"}, "unexpected argument"},
		"plain HTTP beyond loopback":       {[]string{"--listen=0.0.0.0:0"}, "not loopback"},
		"an admin address beyond loopback": {[]string{"--listen=127.0.0.1:0", "--listen-international=127.0.0.1:0", "--admin-listen=0.0.0.0:0"}, "not loopback"},
		"a missing TLS certificate":        {[]string{"--tls-cert-file=/nonexistent", "--tls-key-file=/nonexistent"}, "failed to load"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var output bytes.Buffer
			err := run(t.Context(), test.args, &output, &output)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if strings.Contains(err.Error()+output.String(), secret) {
				t.Error("the secret is shown")
			}
		})
	}
}
