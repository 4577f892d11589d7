// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// findSecret returns the first secret that text holds, in any encoding that a
// server or a formatter uses.
func findSecret(text string, parts []string) string {
	for _, part := range parts {
		once := url.QueryEscape(part)
		for _, form := range []string{part, once, url.QueryEscape(once), url.PathEscape(part), fmt.Sprintf("%x", part), fmt.Sprintf("%v", []byte(part))} {
			if strings.Contains(text, form) {
				return form
			}
		}
	}
	return ""
}

func TestFormattingShowsNoSecret(t *testing.T) {
	t.Parallel()
	credentials := testCredentials()
	provider, err := Static(credentials)
	if err != nil {
		t.Fatal(err)
	}
	client := newTestClient(t, "http://127.0.0.1:1")
	cached := newCachedProvider("id", realClock{}, nil)
	fresh := credentials
	fresh.Expiration = time.Now().Add(time.Hour)
	if err := cached.finishRefresh(fresh, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := cached.Retrieve(t.Context()); err != nil || got != fresh {
		t.Fatalf("got %v, %v", got, err)
	}
	type nested struct {
		Exported *Credentials
		provider Provider
	}
	for name, value := range map[string]any{
		"credentials":               credentials,
		"a pointer to credentials":  &credentials,
		"credentials in a map":      map[string]Credentials{"a": credentials},
		"a static provider":         provider,
		"a provider with a cache":   cached,
		"an identity":               client.identity,
		"a caller":                  client.caller,
		"a field of another struct": struct{ C Credentials }{credentials},
		"a provider in a struct":    nested{Exported: &credentials, provider: provider},
		"a cache in a struct":       nested{provider: cached},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				_, _ = fmt.Fprintf(&b, verb+"\n", value)
			}
			raw, _ := json.Marshal(value)
			b.Write(raw)
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", value)
			slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", value)
			if secret := findSecret(b.String(), []string{testSecret, testToken}); secret != "" {
				t.Errorf("shows a secret: %s", strings.ReplaceAll(b.String(), secret, "<<here>>"))
			}
		})
	}
}

func TestProviderIDsTellCredentialsApartAndNothingElse(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, c := range map[string]Credentials{
		"one":            testCredentials(),
		"another id":     {AccessKeyID: "other", AccessKeySecret: testSecret, SecurityToken: testToken},
		"another secret": {AccessKeyID: testID, AccessKeySecret: "other", SecurityToken: testToken},
		"another token":  {AccessKeyID: testID, AccessKeySecret: testSecret, SecurityToken: "other"},
		"no token":       {AccessKeyID: testID, AccessKeySecret: testSecret},
		"shifted fields": {AccessKeyID: testID + "s", AccessKeySecret: testSecret[1:], SecurityToken: testToken},
	} {
		p, err := Static(c)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[p.ID()]; ok {
			t.Errorf("%s has the id of %s", name, other)
		}
		seen[p.ID()] = name
		again, _ := Static(c)
		if again.ID() != p.ID() {
			t.Errorf("%s: the id changes", name)
		}
		if len(p.ID()) != 32 {
			t.Errorf("%s: id %q", name, p.ID())
		}
	}
}

// TestSDKDebugPrintsNothing makes a call in a process with the variable that
// makes the SDK's Client print requests with their bodies.
func TestSDKDebugPrintsNothing(t *testing.T) {
	const inner = "CLOUDCERT_TEST_CALL_TO"
	if target := os.Getenv(inner); target != "" {
		client := newTestClient(t, target)
		if _, err := client.call(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	server := newCloudServer(t, reply(200, `{"Id":1,"RequestId":"R"}`))
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSDKDebugPrintsNothing$", "-test.v=false")
	command.Env = append(os.Environ(), "DEBUG=sdk", inner+"="+server.URL)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if got := len(server.forms()); got != 1 {
		t.Fatalf("%d requests", got)
	}
	if lines := strings.Split(strings.TrimSpace(string(output)), "\n"); lines[0] != "PASS" || len(lines) > 2 {
		t.Errorf("the process printed %d lines, the first of %d bytes", len(lines), len(lines[0]))
	}
}

// TestHTTPDebugPrintsNothing makes a call in a process with the variable that makes net/http
// print the frames of HTTP/2, headers and bodies, to a server that offers it.
func TestHTTPDebugPrintsNothing(t *testing.T) {
	const inner = "CLOUDCERT_TEST_HTTP2_CALL_TO"
	if target, authority, ok := strings.Cut(os.Getenv(inner), " "); ok {
		roots := x509.NewCertPool()
		der, err := base64.StdEncoding.DecodeString(authority)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(certificate)
		client := newTestClient(t, target)
		client.caller.http = newHTTPClient(roots)
		t.Cleanup(client.caller.CloseIdleConnections)
		if _, err := client.call(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	keys := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys <- r.PostFormValue("Key")
		_, _ = io.WriteString(w, `{"Id":1,"RequestId":"R"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHTTPDebugPrintsNothing$", "-test.v=false")
	command.Env = append(os.Environ(), "GODEBUG=http2debug=2", inner+"="+server.URL+" "+base64.StdEncoding.EncodeToString(server.Certificate().Raw))
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %d bytes of output", err, len(output))
	}
	if got := <-keys; got != testKey {
		t.Fatal("the call did not carry the key")
	}
	if lines := strings.Split(strings.TrimSpace(string(output)), "\n"); lines[0] != "PASS" || len(lines) > 2 {
		t.Errorf("the process printed %d lines, the first of %d bytes", len(lines), len(lines[0]))
	}
}

func TestScrubKeepsHonestMessages(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"a plain message":      {"The certificate name already exists.", "The certificate name already exists"},
		"a message of China":   {"证书名称重复。", "证书名称重复"},
		"a string to sign":     {"Not matched. server string to sign is:POST&%2F&abc", "Not matched"},
		"lines and controls":   {"a\r\nb\x00c\u202ed", "a  bcd"},
		"a private key":        {"bad key -----BEGIN RSA PRIVATE KEY-----\nabc", "bad key [redacted]"},
		"a long run":           {"x " + strings.Repeat("Ab1+", 12) + " y", "x [redacted] y"},
		"a certificate's name": {"name shop_web_0123456789abcdef_0123456789abc_and_more_up_to_63_x exists", "name shop_web_0123456789abcdef_0123456789abc_and_more_up_to_63_x exists"},
		"a uuid":               {"id C826B7B0-1F5A-5C1E-9D3C-6A1C7B3F2D10 end", "id C826B7B0-1F5A-5C1E-9D3C-6A1C7B3F2D10 end"},
		"a very long message":  {strings.Repeat("字 ", 300), strings.TrimSuffix(strings.Repeat("字 ", 99), " ") + "..."},
		"bytes that are none":  {"a\xff\xfeb", "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := scrub(tc.in, []string{"", "short"}, maxMessage)
			if got != tc.want && name != "a very long message" {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if len(got) > maxMessage {
				t.Errorf("%d bytes", len(got))
			}
		})
	}
}
