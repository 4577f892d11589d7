// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestConcurrentCallsKeepNamesUnique sends every upload four times at once.
func TestConcurrentCallsKeepNamesUnique(t *testing.T) {
	t.Parallel()
	const uploads, rivals = 100, 4
	s, c, _ := newTestServer(t, Options{UploadLimit: -1, ListLimit: -1, DeleteLimit: -1})
	p := issueFor("a.example.com")
	var made, repeated atomic.Int64
	var wg sync.WaitGroup
	for rival := range rivals {
		wg.Go(func() {
			own := *c
			own.nonce = (rival + 1) << 20
			for n := range uploads {
				switch r := own.call("UploadUserCertificate", map[string]string{"Name": fmt.Sprint("web_", n), "Cert": p.cert, "Key": p.key}); r.code() {
				case "":
					made.Add(1)
				case "NameRepeat":
					repeated.Add(1)
				default:
					t.Errorf("upload: %s", r.body)
				}
				own.list(nil)
				s.Journal()
				s.Counters()
			}
		})
	}
	wg.Wait()
	if made.Load() != uploads || repeated.Load() != uploads*(rivals-1) || len(s.Certificates(testAccount, RegionChina)) != uploads {
		t.Errorf("%d made, %d repeated, %d held", made.Load(), repeated.Load(), len(s.Certificates(testAccount, RegionChina)))
	}
}

// TestACertificateCostsLittleMemory bounds what 2,000 certificates keep alive:
// their PEM and a few facts, nothing parsed.
func TestACertificateCostsLittleMemory(t *testing.T) {
	_, c, _ := newTestServer(t, Options{UploadLimit: -1, JournalSize: 100})
	p := issueFor("a.example.com")
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 2000
	before := heap()
	for i := range n {
		c.upload(fmt.Sprint("web_", i), p)
	}
	each := (int64(heap()) - int64(before)) / n
	if limit := int64(len(p.cert)+len(p.key)) + 3000; each > limit {
		t.Errorf("a certificate of %d bytes of PEM costs %d bytes, want at most %d", len(p.cert)+len(p.key), each, limit)
	}
}

func benchmarkServer(b *testing.B, held int) (*Server, *client) {
	b.Helper()
	s := New(Options{
		Accounts:    []Account{{ID: testAccount, AccessKeyID: testKeyID, AccessKeySecret: testSecret}},
		UploadLimit: -1, ListLimit: -1, Clock: newClock(),
	})
	b.Cleanup(s.Close)
	p := issueFor("a.example.com")
	for n := range held {
		if _, err := s.AddForeign(testAccount, RegionChina, Foreign{Name: fmt.Sprint("held_", n), PEM: p.cert}); err != nil {
			b.Fatal(err)
		}
	}
	return s, &client{handler: s.Handler(RegionChina), clock: s.clock, id: testKeyID, secret: testSecret, region: RegionChina}
}

// signed prepares requests, so that a benchmark does not measure the client.
func signed(b *testing.B, c *client, action string, parameters map[string]string) []string {
	b.Helper()
	bodies := make([]string, b.N)
	for n := range bodies {
		p := c.common(action)
		maps.Copy(p, parameters)
		if action == "UploadUserCertificate" {
			p["Name"] = fmt.Sprint("web_", n)
		}
		p["Signature"] = testSign(http.MethodPost, testSecret, p)
		bodies[n] = form(p).Encode()
	}
	return bodies
}

func benchmarkCalls(b *testing.B, c *client, bodies []string) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	for _, body := range bodies {
		if status := c.send(b, body); status != http.StatusOK {
			b.Fatalf("status %d", status)
		}
	}
}

func BenchmarkUpload(b *testing.B) {
	_, c := benchmarkServer(b, 0)
	p := issueFor("a.example.com")
	benchmarkCalls(b, c, signed(b, c, "UploadUserCertificate", map[string]string{"Cert": p.cert, "Key": p.key}))
}

func BenchmarkListPageOf10000(b *testing.B) {
	_, c := benchmarkServer(b, 10_000)
	benchmarkCalls(b, c, signed(b, c, "ListUserCertificateOrder", map[string]string{"OrderType": "UPLOAD", "CurrentPage": "100"}))
}

func BenchmarkListByKeywordOf10000(b *testing.B) {
	_, c := benchmarkServer(b, 10_000)
	benchmarkCalls(b, c, signed(b, c, "ListUserCertificateOrder", map[string]string{"OrderType": "UPLOAD", "Keyword": "b.example.com"}))
}

// send posts a form that is already signed.
func (c *client) send(b *testing.B, body string) int {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := &discard{header: http.Header{}}
	c.handler.ServeHTTP(w, request)
	return w.status
}

// discard is a response writer that keeps the status alone.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header            { return d.header }
func (d *discard) Write(body []byte) (int, error) { return len(body), nil }
func (d *discard) WriteHeader(status int)         { d.status = status }
