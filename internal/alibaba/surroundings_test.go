// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// tlsServer answers with a certificate for 127.0.0.1 and example.com.
func tlsServer(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// closedAddress is one of loopback at which nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestWhatIsWrongAroundTheOperatorIsToldApart(t *testing.T) {
	t.Parallel()
	const password = "password-of-the-proxy"
	cloud := tlsServer(t, reply(200, `{"Id":1}`))
	plain := newCloudServer(t, reply(200, `{"Id":1}`))
	forbids := newCloudServer(t, reply(403, ""))
	untrusted := tlsServer(t, reply(200, ""))
	closed := closedAddress(t)
	address := func(server *httptest.Server) string { return server.Listener.Addr().String() }
	trusting := &tls.Config{RootCAs: x509.NewCertPool()}
	trusting.RootCAs.AddCert(cloud.Certificate())
	through := func(scheme, address string) func(*http.Request) (*url.URL, error) {
		return http.ProxyURL(&url.URL{Scheme: scheme, User: url.UserPassword("user", password), Host: address})
	}
	dial := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Source: &net.TCPAddr{Port: time.Now().Nanosecond()}, Err: err}
		}
	}
	for name, tc := range map[string]struct {
		endpoint  string
		transport *http.Transport
		want      Problem
		says      []string
	}{
		"a certificate of an unknown issuer": {
			cloud.URL, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}},
			ProblemUntrusted, []string{address(cloud), "issuer is unknown", "--cas-ca-file"},
		},
		"a certificate for another host": {
			strings.Replace(cloud.URL, "127.0.0.1", "localhost", 1), &http.Transport{TLSClientConfig: trusting},
			ProblemUntrusted, []string{"localhost:", "other host names"},
		},
		"a certificate that has expired": {
			cloud.URL, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusting.RootCAs, Time: func() time.Time { return time.Now().AddDate(200, 0, 0) }}},
			ProblemUntrusted, []string{address(cloud), "expired", "clock"},
		},
		"no TLS at all": {
			strings.Replace(plain.URL, "http:", "https:", 1), &http.Transport{},
			ProblemTLS, []string{address(plain.Server), "TLS"},
		},
		"a name that does not resolve": {
			"https://cas.example.com", &http.Transport{DialContext: dial(&net.DNSError{Err: "no such host", Name: "cas.example.com", Server: "192.0.2.1:53", IsNotFound: true})},
			ProblemName, []string{"cas.example.com", "DNS"},
		},
		"nobody who listens": {
			"http://" + closed, &http.Transport{},
			ProblemRefused, []string{closed, "refuses the connection"},
		},
		"no way to the cloud": {
			"https://cas.example.com", &http.Transport{DialContext: dial(context.DeadlineExceeded)},
			ProblemTimeout, []string{"cas.example.com", "firewalls"},
		},
		"a proxy that is not there": {
			cloud.URL, &http.Transport{Proxy: through("http", closed)},
			ProblemRefused, []string{"the proxy " + closed, "HTTPS_PROXY"},
		},
		"a proxy whose name does not resolve": {
			cloud.URL, &http.Transport{Proxy: through("http", "proxy.example.com:3128"), DialContext: dial(&net.DNSError{Err: "no such host", Name: "proxy.example.com"})},
			ProblemName, []string{"the proxy proxy.example.com:3128", "HTTPS_PROXY"},
		},
		"a proxy whose certificate is not trusted": {
			cloud.URL, &http.Transport{Proxy: through("https", address(untrusted)), TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}},
			ProblemUntrusted, []string{"the certificate of the proxy " + address(untrusted), "--cas-ca-file"},
		},
		"a proxy that forbids it": {
			cloud.URL, &http.Transport{Proxy: through("http", address(forbids.Server))},
			ProblemProxy, []string{"the proxy " + address(forbids.Server), "Forbidden", address(cloud)},
		},
		"another failure": {
			"https://cas.example.com", &http.Transport{DialContext: dial(errors.New("no route"))},
			ProblemNetwork, []string{"cas.example.com cannot be reached"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newTestClient(t, tc.endpoint)
			client.caller.http.Transport = tc.transport
			t.Cleanup(tc.transport.CloseIdleConnections)
			_, err := client.call(t.Context())
			first, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if first.Problem != tc.want || first.Class != Transient || first.MayHaveHappened {
				t.Errorf("problem %q of class %s, may have happened: %t; want %q: %v", first.Problem, first.Class, first.MayHaveHappened, tc.want, err)
			}
			for _, want := range tc.says {
				if !strings.Contains(first.Summary(), want) {
					t.Errorf("%q does not say %q", first.Summary(), want)
				}
			}
			if strings.Contains(first.Error(), password) {
				t.Error("the error repeats the proxy's password")
			}
			_, err = client.call(t.Context())
			if second, _ := errors.AsType[*Error](err); second == nil || second.Summary() != first.Summary() {
				t.Errorf("the same failure is told in two ways: %q and %v", first.Summary(), err)
			}
		})
	}
}

// expiring is a context whose deadline passes at an event. One of a time could pass before the connection is
// made, where the machine is busy, and that is another failure.
type expiring struct {
	context.Context //nolint:containedctx // it is one itself

	at <-chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.at }

func (e expiring) Err() error {
	select {
	case <-e.at:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestACloudThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Parallel()
	release, asked := make(chan struct{}), make(chan struct{})
	server := newCloudServer(t, func(http.ResponseWriter, *http.Request) { close(asked); <-release })
	t.Cleanup(func() { close(release) })
	client := newTestClient(t, server.URL)
	_, err := client.call(expiring{t.Context(), asked})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Problem != ProblemTimeout || !e.MayHaveHappened || e.Summary() != server.Listener.Addr().String()+" did not answer in time" {
		t.Errorf("got %v", err)
	}
}

func TestAClockThatIsOffIsNamed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		date string
		says string
		node string
	}{
		"behind":             {time.Now().Add(25 * time.Hour).UTC().Format(http.TimeFormat), `the clock of node "worker-1" is about 25 hours behind the cloud's`, "worker-1"},
		"ahead":              {time.Now().Add(-40 * time.Minute).UTC().Format(http.TimeFormat), "the node's clock is about 40 minutes ahead of the cloud's", ""},
		"right by now":       {time.Now().UTC().Format(http.TimeFormat), "was off when the request was signed", "worker-1"},
		"no date that helps": {"yesterday", "off by more than 15 minutes", "worker-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", tc.date)
				w.WriteHeader(400)
				_, _ = io.WriteString(w, `{"Code":"InvalidTimeStamp.Expired","Message":"the time stamp has expired","RequestId":"R"}`)
			})
			client := newTestClient(t, server.URL)
			client.caller.node = tc.node
			env, _ := rrsaEnv(t)
			role, err := client.caller.EnvironmentProvider(env)
			if err != nil {
				t.Fatal(err)
			}
			_, ofProduct := client.call(t.Context())
			_, ofSTS := client.identity.Account(t.Context())
			_, ofRole := role.Retrieve(t.Context())
			for _, err := range []error{ofProduct, ofSTS, ofRole} {
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Problem != ProblemClock || e.Class != Transient || !strings.Contains(e.Summary(), tc.says) || !strings.Contains(e.Summary(), tc.node) {
					t.Errorf("got %v, want to be told that the clock is %s", err, tc.says)
				}
			}
		})
	}
}
