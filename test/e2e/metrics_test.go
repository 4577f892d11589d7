// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// TestMetrics scrapes the operator with a ServiceAccount of its own, as Prometheus would: over
// TLS with a certificate that it checks, which is renewed without a restart.
func TestMetrics(t *testing.T) {
	const monitoring = "monitoring"
	server := releaseName + "-metrics." + releaseNamespace + ".svc"
	release := &app{t: t, namespace: releaseNamespace}
	release.putMetricsCertificate(server)
	t.Cleanup(func() { kubectl(t, "delete", "secret", "metrics-cert", "-n", releaseNamespace, "--ignore-not-found") })

	c := newCloud(t, emulator.Options{})
	c.install(t, map[string]any{
		"replicaCount": 1, // it leads, and has the metrics of single objects
		"metrics": map[string]any{
			"tls":     map[string]any{"existingSecret": "metrics-cert"},
			"readers": []map[string]any{{"name": "prometheus", "namespace": monitoring}},
		},
	})
	a := newApp(t, monitoring)
	for _, name := range []string{"prometheus", "stranger"} {
		kubectl(t, "create", "serviceaccount", name, "-n", monitoring)
	}
	a.putTLS("web", "metrics.example.com")
	a.create("web", nil)
	a.waitReady("web", 0)

	reader := newReader(t, server)
	token := kubectl(t, "create", "token", "prometheus", "-n", monitoring)
	eventually(t, "the metrics name the object", func() (bool, string) {
		status, body := reader.get(t, token)
		wanted := fmt.Sprintf(`cloudcert_certificate_synced{namespace=%q,name="web"} 1`, monitoring)
		return status == http.StatusOK && strings.Contains(body, wanted), fmt.Sprint(status, " ", body[:min(len(body), 500)])
	})
	reader.checkRefused(t, kubectl(t, "create", "token", "stranger", "-n", monitoring), http.StatusForbidden)
	reader.checkRefused(t, "", http.StatusUnauthorized)

	var before string
	eventually(t, "a certificate is served", func() (bool, string) {
		var err error
		before, err = reader.serial(t)
		return err == nil, fmt.Sprint(err)
	})
	release.putMetricsCertificate(server)
	eventually(t, "the renewed certificate is served", func() (bool, string) {
		serial, err := reader.serial(t)
		return err == nil && serial != before, fmt.Sprint(serial, err)
	})
	for _, pod := range operatorPods(t) {
		if n := pod.Status.ContainerStatuses[0].RestartCount; n != 0 {
			t.Errorf("the operator was restarted %d times", n)
		}
	}
}

// putMetricsCertificate makes or renews the certificate of the metrics.
func (a *app) putMetricsCertificate(server string) {
	a.t.Helper()
	pair, err := siteCA.Issue(24*time.Hour, nil, server)
	if err != nil {
		a.t.Fatal(err)
	}
	a.putSecret("metrics-cert", corev1.SecretTypeTLS, map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.PrivateKey, "ca.crt": siteCA.PEM()})
}

// reader reads the metrics through a port that kubectl forwards, and checks whose they are.
type reader struct {
	address, server string
	roots           *x509.CertPool
}

func newReader(t *testing.T, server string) *reader {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(siteCA.PEM())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, "kubectl", "port-forward", "-n", releaseNamespace, "deployment/"+releaseName, ":8443")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) && cmd.ProcessState == nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "Forwarding from 127.0.0.1:"); ok {
			port, _, _ := strings.Cut(rest, " ")
			go func() { _, _ = io.Copy(io.Discard, out) }() // until it ends
			return &reader{address: "127.0.0.1:" + port, server: server, roots: roots}
		}
	}
	t.Fatalf("kubectl forwards no port: %v", lines.Err())
	return nil
}

func (r *reader) tls() *tls.Config {
	return &tls.Config{RootCAs: r.roots, ServerName: r.server, MinVersion: tls.VersionTLS12}
}

// get returns the status and the body of an answer.
func (r *reader) get(t *testing.T, token string) (status int, body string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: r.tls()}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(raw)
}

// checkRefused checks with which status a token is refused. A connection that does not come about, or is
// closed because its headers come late, is no answer: then it is asked again.
func (r *reader) checkRefused(t *testing.T, token string, want int) {
	t.Helper()
	eventually(t, "the metrics are refused", func() (bool, string) {
		status, body := r.get(t, token)
		if status != 0 && status != want {
			t.Fatalf("answered %d, want %d: %s", status, want, body)
		}
		return status == want, body
	})
}

// serial is that of the certificate that is served.
func (r *reader) serial(t *testing.T) (string, error) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: r.tls()}).DialContext(t.Context(), "tcp", r.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}
