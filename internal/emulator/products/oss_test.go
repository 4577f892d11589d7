// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

const (
	bucketName = "web-assets"
	bucketHost = "www.example.com"
)

// ossAnswer is what OSS answers: a list or an error.
type ossAnswer struct {
	status int

	Bucket, Owner string
	Cname         []struct {
		Domain, LastModified, Status string
		Certificate                  *struct {
			Type, CertId, Status, CreationDate, Fingerprint, ValidStartDate, ValidEndDate string //nolint:revive // as OSS names them
		}
	}

	Code, Message, EC, Endpoint, CnameType string
	AccessDeniedDetail                     struct{ AuthAction string }
}

// ossCall signs a call of OSS by its signature version 4, written down anew (T112).
func (w *world) ossCall(region, method, bucket, query, body string) ossAnswer {
	w.t.Helper()
	w.clock.advance(time.Second)
	digest := func(key []byte, text string) []byte {
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, text)
		return mac.Sum(nil)
	}
	request := httptest.NewRequestWithContext(w.t.Context(), method, "http://127.0.0.1:8080/"+bucket+"/?"+query, strings.NewReader(body))
	date := w.clock.Now().UTC().Format("20060102T150405Z")
	request.Header.Set("x-oss-content-sha256", "UNSIGNED-PAYLOAD")
	request.Header.Set("x-oss-date", date)
	canonical := method + "\n/" + bucket + "/\n" + query + "\nx-oss-content-sha256:UNSIGNED-PAYLOAD\nx-oss-date:" + date + "\n\n\nUNSIGNED-PAYLOAD"
	sum := sha256.Sum256([]byte(canonical))
	scope := date[:8] + "/" + region + "/oss/aliyun_v4_request"
	key := digest(digest(digest(digest([]byte("aliyun_v4"+keySecret), date[:8]), region), "oss"), "aliyun_v4_request")
	signature := digest(key, "OSS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(sum[:]))
	request.Header.Set("Authorization", "OSS4-HMAC-SHA256 Credential="+keyID+"/"+scope+",Signature="+hex.EncodeToString(signature))
	recorder := httptest.NewRecorder()
	w.cloud.Handler("oss", "").ServeHTTP(recorder, request)
	answer := ossAnswer{status: recorder.Code}
	if recorder.Body.Len() > 0 {
		w.check(xml.Unmarshal(recorder.Body.Bytes(), &answer))
	}
	return answer
}

func (w *world) listCname() ossAnswer {
	w.t.Helper()
	return w.ossCall(shanghai, http.MethodGet, bucketName, "cname", "")
}

// putCname asks for a certificate of the domain, by the elements that are given.
func (w *world) putCname(certificate string) ossAnswer {
	w.t.Helper()
	return w.ossCall(shanghai, http.MethodPost, bucketName, "cname&comp=add", cnameBody(bucketHost, certificate))
}

func cnameBody(domain, certificate string) string {
	return "<BucketCnameConfiguration><Cname><Domain>" + domain + "</Domain><CertificateConfiguration>" + certificate +
		"</CertificateConfiguration></Cname></BucketCnameConfiguration>"
}

// swap are the elements of a change that rests on the previous certificate.
func swap(previous, next string) string {
	return "<CertId>" + next + "</CertId><PreviousCertId>" + previous + "</PreviousCertId>"
}

// bucket makes a bucket with a domain.
func (w *world) bucket(change func(*Domain)) {
	w.t.Helper()
	d := Domain{Product: "oss", Instance: bucketName, Name: bucketHost, Account: account, Region: shanghai}
	if change != nil {
		change(&d)
	}
	w.check(w.cloud.AddDomain(d))
}

// held is the certificate that the list shows of the domain, and the one that a client gets.
func (w *world) held() (listed, served string) {
	w.t.Helper()
	for _, one := range w.listCname().Cname {
		if one.Domain == bucketHost && one.Certificate != nil {
			listed = one.Certificate.CertId
		}
	}
	return listed, w.served(bucketHost, bucketHost)
}

func TestABucketsDomainIsShownAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	id := w.certificate(bucketHost)
	w.bucket(func(d *Domain) { d.Certificate = id })
	w.bucket(func(d *Domain) { d.Name, d.Offline = "off.example.com", true })
	w.bucket(func(d *Domain) {
		d.Name, d.Certificate, d.Type, d.HTTPSOff = "uploaded.example.com", "uploaded", "upload", true
	})
	w.bucket(func(d *Domain) { d.Instance, d.Name = "other-assets", "elsewhere.example.com" })
	number, _, _ := strings.Cut(id, "-")
	certificate, _ := w.server.FindCertificate(account, emulator.RegionChina, must(strconv.ParseInt(number, 10, 64)))
	a := w.listCname()
	if a.status != http.StatusOK || a.Bucket != bucketName || a.Owner != account {
		t.Fatalf("%+v", a)
	}
	var got []string
	for _, one := range a.Cname {
		line := one.Domain + " " + one.Status
		if c := one.Certificate; c != nil {
			line += fmt.Sprint(" ", c.Type, " ", c.CertId, " ", c.Status, " ", c.ValidEndDate)
		}
		got = append(got, line)
	}
	want := []string{
		"off.example.com Disabled", "uploaded.example.com Enabled Upload uploaded Disabled ",
		bucketHost + " Enabled CAS " + id + " Enabled " + epoch.AddDate(0, 0, 90).Format("Mon, 2 Jan 2006 15:04:05 GMT"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if shown := a.Cname[2].Certificate.Fingerprint; strings.ReplaceAll(shown, ":", "") != certificate.SHA1 || len(shown) != 59 {
		t.Errorf("fingerprint %s, want that of %s", shown, certificate.SHA1)
	}
	w.server.Inject(emulator.Fault{Kind: emulator.FaultShortPage, Product: "oss", Count: 1, Size: 2})
	if short := w.listCname(); len(short.Cname) != 1 {
		t.Errorf("a short page has %d domains", len(short.Cname))
	}
}

func TestABucketsDomainTakesACertificate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first   bool
		options Options
		ask     func(before, after string) string
	}{
		"in the place of the one before":      {ask: swap},
		"by force, whatever was there before": {ask: func(_, after string) string { return swap("1-cn-hangzhou", after) + "<Force>true</Force>" }},
		"by force for the first time":         {first: true, ask: func(_, after string) string { return "<CertId>" + after + "</CertId><Force>True</Force>" }},
		"for the first time": {
			first: true, options: Options{Unknowns: Unknowns{OSSFirstWithoutForce: true}},
			ask: func(_, after string) string { return "<CertId>" + after + "</CertId><Force>false</Force>" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.options.Edges, tc.options.ReadLag = time.Minute, 20*time.Second
			w := newWorld(t, tc.options)
			before, after := "", w.certificate(bucketHost)
			if !tc.first {
				before = w.certificate(bucketHost)
			}
			w.bucket(func(d *Domain) { d.Certificate = before })
			w.clock.advance(time.Minute)
			if a := w.putCname(tc.ask(before, after)); a.status != http.StatusOK {
				t.Fatalf("%+v", a)
			}
			if listed, served := w.held(); listed != before || served != before {
				t.Errorf("at once: listed %q, served %q, want %q", listed, served, before)
			}
			w.clock.advance(20 * time.Second)
			if listed, served := w.held(); listed != after || served != before {
				t.Errorf("before the edges know: listed %q, served %q", listed, served)
			}
			w.clock.advance(time.Minute)
			if listed, served := w.held(); listed != after || served != after {
				t.Errorf("in the end: listed %q, served %q, want %q", listed, served, after)
			}
			if used := w.cloud.Used(account); len(used) != 1 || used[0] != after {
				t.Errorf("used %v", used)
			}
			if put := w.server.Journal()[0]; !put.Committed || put.Name != bucketName+"/"+bucketHost || put.Product != "oss" {
				t.Errorf("journal %+v", put)
			}
		})
	}
}

func TestABucketsDomainLosesItsCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	id := w.certificate(bucketHost)
	w.bucket(func(d *Domain) { d.Certificate = id })
	if a := w.putCname("<DeleteCertificate>True</DeleteCertificate><PreviousCertId>1-cn-hangzhou</PreviousCertId>"); a.EC != "0018-00000209" {
		t.Errorf("another than the current one: %+v", a)
	}
	if a := w.putCname("<DeleteCertificate>True</DeleteCertificate>"); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	if listed, served := w.held(); listed != "" || served != "" {
		t.Errorf("listed %q, served %q", listed, served)
	}
}

func TestABucketsDomainRefuses(t *testing.T) {
	t.Parallel()
	const force = "<Force>true</Force>"
	put := func(certificate string) string { return cnameBody(bucketHost, certificate) }
	for name, tc := range map[string]struct {
		region, bucket string
		options        Options
		body           func(before, after string) string
		status         int
		code, ec       string
	}{
		"a change that rests on another one": {body: func(_, after string) string { return put(swap("1-cn-hangzhou", after)) }, status: 400, code: "InvalidArgument", ec: "0018-00000209"},
		"a change that rests on another one, in conflict": {
			options: Options{Unknowns: Unknowns{OSSStaleCode: "Stale"}},
			body:    func(_, after string) string { return put(swap("1-cn-hangzhou", after)) }, status: 409, code: "Stale", ec: "0018-00000209",
		},
		"a change that rests on nothing": {body: func(_, after string) string { return put("<CertId>" + after + "</CertId>") }, status: 400, code: "InvalidArgument", ec: "0018-00000209"},
		"a number alone": {body: func(before, after string) string {
			number, _, _ := strings.Cut(after, "-")
			return put(swap(before, number))
		}, status: 400, code: "CertificateInvalidCasId", ec: "0018-00000204"},
		"a certificate of nobody": {body: func(before, _ string) string { return put(swap(before, "1-cn-hangzhou")) }, status: 400, code: "CertificateInvalidCasId"},
		"a certificate of the other region": {body: func(before, after string) string {
			return put(swap(before, strings.Replace(after, "cn-hangzhou", "ap-southeast-1", 1)))
		}, status: 400, code: "CertificateInvalidCasId"},
		"an identifier that is too long": {body: func(before, after string) string { return put(swap(before, after+strings.Repeat("-", 60))) }, status: 400, code: "InvalidArgument", ec: "0018-00000206"},
		"a deletion by force":            {body: func(string, string) string { return put("<DeleteCertificate>true</DeleteCertificate>" + force) }, status: 400, code: "MalformedXML"},
		"a deletion and a certificate": {body: func(before, after string) string {
			return put(swap(before, after) + "<DeleteCertificate>true</DeleteCertificate>")
		}, status: 400, code: "MalformedXML"},
		"nothing about the certificate": {body: func(string, string) string { return put(force) }, status: 400, code: "MalformedXML"},
		"a switch that is neither":      {body: func(before, after string) string { return put(swap(before, after) + "<Force>yes</Force>") }, status: 400, code: "MalformedXML"},
		"an element of nobody":          {body: func(before, after string) string { return put(swap(before, after) + "<CertID/>") }, status: 400, code: "MalformedXML"},
		"an element twice":              {body: func(before, after string) string { return put(swap(before, after) + force + force) }, status: 400, code: "MalformedXML"},
		"an element within another":     {body: func(before, after string) string { return put(swap(before, "<CertId>"+after+"</CertId>")) }, status: 400, code: "MalformedXML"},
		"an attribute": {body: func(before, after string) string {
			return strings.Replace(put(swap(before, after)), "<Cname>", `<Cname a="b">`, 1)
		}, status: 400, code: "MalformedXML"},
		"a namespace": {body: func(before, after string) string {
			return strings.Replace(put(swap(before, after)), "<Cname>", `<Cname xmlns="urn:a">`, 1)
		}, status: 400, code: "MalformedXML"},
		"text between elements": {body: func(before, after string) string {
			return strings.Replace(put(swap(before, after)), "<Cname>", "a<Cname>", 1)
		}, status: 400, code: "MalformedXML"},
		"another document":                   {body: func(string, string) string { return "<Cname/>" }, status: 400, code: "MalformedXML"},
		"two documents":                      {body: func(before, after string) string { return strings.Repeat(put(swap(before, after)), 2) }, status: 400, code: "MalformedXML"},
		"no document":                        {body: func(string, string) string { return "" }, status: 400, code: "MalformedXML"},
		"something else":                     {body: func(string, string) string { return `{"Cname": {}}` }, status: 400, code: "MalformedXML"},
		"no domain":                          {body: func(before, after string) string { return cnameBody("", swap(before, after)) }, status: 400, code: "MalformedXML"},
		"a domain that cannot be":            {body: func(before, after string) string { return cnameBody("*.example.com", swap(before, after)) }, status: 400, code: "InvalidArgument", ec: "0018-00000401"},
		"a domain of nobody":                 {body: func(before, after string) string { return cnameBody("new.example.com", swap(before, after)) }, status: 403, code: "NeedVerifyDomainOwnership", ec: "0018-00000115"},
		"a domain of another bucket":         {body: func(before, after string) string { return cnameBody("elsewhere.example.com", swap(before, after)) }, status: 409, code: "CnameAlreadyExists"},
		"a domain of another account":        {body: func(before, after string) string { return cnameBody("theirs.example.com", swap(before, after)) }, status: 403, code: "CnameDenied"},
		"a certificate that is not from CAS": {body: func(string, string) string { return put("<Certificate>a</Certificate>" + force) }, status: 501, code: "NotImplemented"},
		"a bucket of nobody":                 {bucket: "nobodys-assets", body: func(before, after string) string { return put(swap(before, after)) }, status: 404, code: "NoSuchBucket"},
		"a bucket of another account":        {bucket: "their-assets", body: func(before, after string) string { return put(swap(before, after)) }, status: 403, code: "AccessDenied"},
		"a bucket of another region":         {region: "cn-beijing", body: func(before, after string) string { return put(swap(before, after)) }, status: 403, code: "AccessDenied", ec: "0003-00001403"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.options)
			w.neighbours()
			before, after := w.certificate(bucketHost), w.certificate(bucketHost)
			w.bucket(func(d *Domain) { d.Certificate = before })
			region, bucket := shanghai, bucketName
			if tc.region != "" {
				region = tc.region
			}
			if tc.bucket != "" {
				bucket = tc.bucket
			}
			a := w.ossCall(region, http.MethodPost, bucket, "cname&comp=add", tc.body(before, after))
			if a.status != tc.status || a.Code != tc.code || tc.ec != "" && a.EC != tc.ec {
				t.Errorf("status %d, code %q, EC %q, want %d, %q and %q", a.status, a.Code, a.EC, tc.status, tc.code, tc.ec)
			}
			if tc.region != "" && a.Endpoint != "oss-cn-shanghai.aliyuncs.com" {
				t.Errorf("endpoint %q", a.Endpoint)
			}
			if tc.code == "CnameAlreadyExists" && a.CnameType != "CNAME_OSS" {
				t.Errorf("type %q", a.CnameType)
			}
			if listed, served := w.held(); listed != before || served != before {
				t.Errorf("listed %q, served %q, want %q", listed, served, before)
			}
		})
	}
}

// neighbours are buckets of the same account and of another one.
func (w *world) neighbours() {
	w.t.Helper()
	w.bucket(func(d *Domain) { d.Instance, d.Name = "other-assets", "elsewhere.example.com" })
	w.bucket(func(d *Domain) { d.Instance, d.Name, d.Account = "their-assets", "theirs.example.com", otherAccount })
}

func TestABucketRefusesSMCertificatesAndOtherQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.bucket(nil)
	if a := w.putCname("<CertId>" + w.smCertificate(bucketHost) + "</CertId><Force>true</Force>"); a.Code != "InvalidArgument" {
		t.Errorf("%+v", a)
	}
	for _, query := range []string{"cname&comp=delete", "comp=add", "acl", "cname&x=y"} {
		if a := w.ossCall(shanghai, http.MethodPost, bucketName, query, ""); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: status %d, code %s", query, a.status, a.Code)
		}
	}
	if a := w.ossCall(shanghai, http.MethodPost, bucketName, "cname&comp=add", strings.NewReplacer("<CertificateConfiguration>", "", "</CertificateConfiguration>", "").Replace(cnameBody(bucketHost, ""))); a.status != http.StatusOK {
		t.Errorf("a domain that is there already: status %d, code %s", a.status, a.Code)
	}
	if put := w.server.Journal()[len(w.server.Journal())-1]; put.Committed {
		t.Error("a domain that is there already is changed")
	}
}

func TestAKeyInACallOfOSSIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.bucket(nil)
	_, key := keyed(bucketHost)
	if a := w.putCname("<PrivateKey>" + key + "</PrivateKey><Force>true</Force>"); a.status != http.StatusNotImplemented || w.server.KeysSent() != 1 {
		t.Errorf("status %d, keys %d", a.status, w.server.KeysSent())
	}
}

func TestOSSAsksForAllPermissions(t *testing.T) {
	t.Parallel()
	arn := "acs:oss:*:" + account + ":" + bucketName
	all := map[string]string{"oss:ListCname": arn, "oss:PutCname": arn}
	for _, action := range ossFetches {
		all[action] = "*"
	}
	for missing := range all {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{})
			before, after := w.certificate(bucketHost), w.certificate(bucketHost)
			w.bucket(func(d *Domain) { d.Certificate = before })
			allow := func(without string) {
				var statements []emulator.Statement
				for action, resource := range all {
					if action != without {
						statements = append(statements, emulator.Statement{Actions: []string{action}, Resources: []string{resource}})
					}
				}
				w.server.SetPolicy(keyID, statements)
			}
			allow(missing)
			list, put := w.listCname(), w.putCname(swap(before, after))
			denied, other := put, list
			if missing == "oss:ListCname" {
				denied, other = list, put
			}
			if denied.status != http.StatusForbidden || denied.Code != "AccessDenied" || denied.AccessDeniedDetail.AuthAction != missing {
				t.Errorf("status %d, code %s, action %s", denied.status, denied.Code, denied.AccessDeniedDetail.AuthAction)
			}
			if other.status != http.StatusOK {
				t.Errorf("the other call: status %d, code %s", other.status, other.Code)
			}
			// To take a certificate away none of those to fetch one is needed.
			if a := w.putCname("<DeleteCertificate>true</DeleteCertificate>"); (a.status == http.StatusOK) != (missing != "oss:PutCname") {
				t.Errorf("a deletion: status %d, code %s", a.status, a.Code)
			}
			allow("")
			w.check(w.cloud.PutDomain("oss", bucketHost, before))
			if a := w.putCname(swap(before, after)); a.status != http.StatusOK {
				t.Errorf("with all of them: status %d, code %s", a.status, a.Code)
			}
		})
	}
}

func TestADomainOfOSSIsServedAsTheConsoleSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	id := w.certificate(bucketHost)
	for name, tc := range map[string]struct {
		change func(*Domain)
		want   string
	}{
		"a domain without a certificate": {nil, ""},
		"a certificate that is off":      {func(d *Domain) { d.Certificate, d.HTTPSOff = id, true }, ""},
		"a domain that is disabled":      {func(d *Domain) { d.Certificate, d.Offline = id, true }, ""},
		"both on":                        {func(d *Domain) { d.Certificate = id }, id},
	} {
		w.bucket(tc.change)
		if got := w.served(bucketHost, bucketHost); got != tc.want {
			t.Errorf("%s: served %q, want %q", name, got, tc.want)
		}
	}
	other := w.certificate(bucketHost)
	w.bucket(func(d *Domain) { d.Certificate = id })
	w.check(w.cloud.PutDomain("oss", bucketHost, other))
	if listed, served := w.held(); listed != other || served != other {
		t.Errorf("listed %q, served %q, want %q", listed, served, other)
	}
	for name, d := range map[string]Domain{
		"a bucket without a name":     {Product: "oss", Name: bucketHost, Account: account, Region: shanghai},
		"a bucket in two regions":     {Product: "oss", Instance: bucketName, Name: "a.example.com", Account: account, Region: "cn-beijing"},
		"a bucket in no region":       {Product: "oss", Instance: "new-assets", Name: "a.example.com", Account: account},
		"a region that OSS is not in": {Product: "oss", Instance: "new-assets", Name: "a.example.com", Account: account, Region: "cn-nowhere"},
	} {
		if err := w.cloud.AddDomain(d); err == nil {
			t.Errorf("%s can be made", name)
		}
	}
}
