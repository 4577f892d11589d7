// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// secretParts are what may show nowhere: the secrets, and the lines of the keys.
func secretParts(r UploadRequest) []string {
	parts := []string{testSecret, testToken}
	for _, key := range []string{r.PrivateKey, r.SignPrivateKey, r.EncryptPrivateKey} {
		for line := range strings.Lines(key) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "---") {
				parts = append(parts, line)
			}
		}
	}
	return parts
}

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

func smUpload() UploadRequest {
	r := testUpload()
	r.Certificate, r.PrivateKey = "", ""
	r.SignCertificate, r.EncryptCertificate = "signing certificate", "encryption certificate"
	r.SignPrivateKey = "-----BEGIN EC PRIVATE KEY-----\nc2lnbiBrZXkgb2YgdGhlIHBhaXI=\n-----END EC PRIVATE KEY-----\n"
	r.EncryptPrivateKey = "-----BEGIN EC PRIVATE KEY-----\nZW5jcnlwdGlvbiBrZXkgb2YgdGhlIHBhaXI=\n-----END EC PRIVATE KEY-----\n"
	return r
}

func TestErrorsNeverHoldASecret(t *testing.T) {
	t.Parallel()
	// Each echo turns the form of the request into the cloud's message.
	echoes := map[string]func(url.Values) string{
		"the string to sign": func(form url.Values) string {
			return "Specified signature is not matched with our calculation. server string to sign is:POST&%2F&" + url.QueryEscape(form.Encode())
		},
		"StringToSign in another writing": func(form url.Values) string {
			return "bad signature; StringToSign=" + form.Encode()
		},
		"the string to sign in capitals": func(form url.Values) string {
			return "SERVER STRING  TO SIGN IS: " + form.Encode()
		},
		"the form without a warning": func(form url.Values) string { return "cannot parse " + form.Encode() },
		"the form encoded twice":     func(form url.Values) string { return "cannot parse " + url.QueryEscape(form.Encode()) },
		"values as they are": func(form url.Values) string {
			var all []string
			for _, values := range form {
				all = append(all, values...)
			}
			return strings.Join(all, " | ")
		},
		"values in lines turned around": func(form url.Values) string {
			var b strings.Builder
			for _, values := range form {
				for line := range strings.Lines(values[0]) {
					b.WriteString(strings.TrimSpace(line) + ", ")
				}
			}
			return b.String()
		},
		"values as JSON": func(form url.Values) string {
			raw, _ := json.Marshal(form)
			return string(raw)
		},
	}
	for _, upload := range []UploadRequest{testUpload(), smUpload()} {
		for name, echo := range echoes {
			for _, field := range []string{"Message", "Code", "RequestId", "body"} {
				t.Run(name+" in "+field, func(t *testing.T) {
					t.Parallel()
					server := newCloudServer(t, func(w http.ResponseWriter, r *http.Request) {
						w.WriteHeader(400)
						if field == "body" {
							_, _ = io.WriteString(w, echo(r.PostForm))
							return
						}
						body := map[string]string{"Code": "SignatureDoesNotMatch"}
						body[field] = echo(r.PostForm)
						_ = json.NewEncoder(w).Encode(body)
					})
					client, _ := newTestClient(t, server.URL)
					_, err := client.Upload(t.Context(), nil, upload)
					if err == nil {
						t.Fatal("no error")
					}
					raw, _ := json.Marshal(err)
					shown := fmt.Sprintf("%v %+v %#v %s", err, err, err, raw)
					if secret := findSecret(shown, secretParts(upload)); secret != "" {
						t.Errorf("error shows a secret: %s", strings.ReplaceAll(shown, secret, "<<here>>"))
					}
					if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\r\n") {
						t.Errorf("error of %d bytes, or of several lines", len(err.Error()))
					}
				})
			}
		}
	}
}

func TestFormattingShowsNoSecret(t *testing.T) {
	t.Parallel()
	upload := smUpload()
	upload.PrivateKey = testUpload().PrivateKey
	provider, err := alibaba.Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	client, _ := newTestClient(t, "http://127.0.0.1:1")
	type nested struct {
		Exposed  UploadRequest
		provider alibaba.Provider
	}
	for name, value := range map[string]any{
		"an upload request":     upload,
		"a pointer to one":      &upload,
		"a list of them":        []UploadRequest{upload},
		"a client":              client,
		"a client by value":     *client,
		"the cloud":             client.cloud,
		"a request in a struct": nested{Exposed: upload, provider: provider},
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
			if secret := findSecret(b.String(), secretParts(upload)); secret != "" {
				t.Errorf("shows a secret: %s", strings.ReplaceAll(b.String(), secret, "<<here>>"))
			}
		})
	}
}
