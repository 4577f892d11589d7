// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// refusal is what an upload of these parameters must be answered with; "" is a
// success.
type refusal struct {
	parameters map[string]string
	code       string
}

func checkUploads(t *testing.T, o Options, tests map[string]refusal) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := newTestServer(t, o)
			r := c.call("UploadUserCertificate", test.parameters)
			if r.code() != test.code {
				t.Errorf("answer %d %s (%v), want %q", r.status, r.code(), r.fields["Message"], test.code)
			}
			want, held := 0, len(s.Certificates(testAccount, RegionChina))
			if test.code == "" {
				want = 1
			}
			if call := s.Journal()[0]; held != want || call.Committed != (want == 1) {
				t.Errorf("%d certificates are held, journal %+v", held, call)
			}
		})
	}
}

func TestParametersOfUploads(t *testing.T) {
	t.Parallel()
	p := issueFor("a.example.com")
	with := func(extra map[string]string) map[string]string {
		all := map[string]string{"Name": "web", "Cert": p.cert, "Key": p.key}
		maps.Copy(all, extra)
		return all
	}
	tags := func(n int) map[string]string {
		all := map[string]string{}
		for i := range n {
			all[fmt.Sprintf("Tags.%d.Key", i+1)] = fmt.Sprint("key", i)
			all[fmt.Sprintf("Tags.%d.Value", i+1)] = "value"
		}
		return all
	}
	checkUploads(t, Options{}, map[string]refusal{
		"a plain upload":                     {with(nil), ""},
		"a name of 63 characters":            {with(map[string]string{"Name": strings.Repeat("aZ_", 21)}), ""},
		"a name of 64 characters":            {with(map[string]string{"Name": strings.Repeat("a", 64)}), "InvalidParameter"},
		"a hyphen in the name":               {with(map[string]string{"Name": "a-b"}), "InvalidParameter"},
		"a letter beyond ASCII in the name":  {with(map[string]string{"Name": "名"}), "InvalidParameter"},
		"no name":                            {with(map[string]string{"Name": ""}), "MissingParameter"},
		"a parameter that is unknown":        {with(map[string]string{"ResourceGroupID": "rg-acfm4"}), "InvalidParameter"},
		"a client token":                     {with(map[string]string{"ClientToken": "token"}), ""},
		"a resource group":                   {with(map[string]string{"ResourceGroupId": "rg-acfm4"}), ""},
		"a resource group that is none":      {with(map[string]string{"ResourceGroupId": "group"}), "InvalidParameter"},
		"twenty tags":                        {with(tags(20)), ""},
		"twenty-one tags":                    {with(tags(21)), "InvalidParameter"},
		"tags counted from 0":                {with(map[string]string{"Tags.0.Key": "a"}), "InvalidParameter"},
		"a gap in the tags":                  {with(map[string]string{"Tags.1.Key": "a", "Tags.3.Key": "b"}), "InvalidParameter"},
		"a tag without a value":              {with(map[string]string{"Tags.1.Key": "a"}), ""},
		"a value without a tag":              {with(map[string]string{"Tags.1.Value": "a"}), "InvalidParameter"},
		"a tag twice":                        {with(map[string]string{"Tags.1.Key": "a", "Tags.2.Key": "a"}), "InvalidParameter"},
		"a tag of the vendor's":              {with(map[string]string{"Tags.1.Key": "acs:a"}), "InvalidParameter"},
		"a tag of the vendor's, capitalised": {with(map[string]string{"Tags.1.Key": "Aliyun"}), "InvalidParameter"},
		"a tag with a URL":                   {with(map[string]string{"Tags.1.Key": "a", "Tags.1.Value": "http://a"}), "InvalidParameter"},
		"a tag of 129 characters":            {with(map[string]string{"Tags.1.Key": strings.Repeat("a", 129)}), "InvalidParameter"},
		"neither certificate nor SM pair":    {map[string]string{"Name": "web"}, "MissingParameter"},
		"a certificate without a key":        {map[string]string{"Name": "web", "Cert": p.cert}, "MissingParameter"},
	})
}

func TestAClientTokenMakesNothingIdempotent(t *testing.T) {
	t.Parallel()
	_, c, _ := newTestServer(t, Options{})
	p := issueFor("a.example.com")
	upload := map[string]string{"Name": "web", "Cert": p.cert, "Key": p.key, "ClientToken": "token"}
	got := []string{c.call("UploadUserCertificate", upload).code(), c.call("UploadUserCertificate", upload).code()}
	if diff := cmp.Diff([]string{"", "NameRepeat"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPEMThatIsNotClean(t *testing.T) {
	t.Parallel()
	p := issueFor("a.example.com")
	cert := func(text string) map[string]string {
		return map[string]string{"Name": "web", "Cert": text, "Key": p.key}
	}
	key := func(text string) map[string]string {
		return map[string]string{"Name": "web", "Cert": p.cert, "Key": text}
	}
	const bad, badKey = "CertificateFormatException", "PrivateKeyFormatException"
	second := strings.LastIndex(p.cert, "-----BEGIN")
	checkUploads(t, Options{}, map[string]refusal{
		"no newline at the end":           {cert(strings.TrimSuffix(p.cert, "\n")), ""},
		"carriage returns":                {cert(strings.ReplaceAll(p.cert, "\n", "\r\n")), bad},
		"a blank line at the end":         {cert(p.cert + "\n"), bad},
		"a blank line between blocks":     {cert(p.cert[:second] + "\n" + p.cert[second:]), bad},
		"text before the first block":     {cert("subject=a\n" + p.cert), bad},
		"text between blocks":             {cert(p.cert[:second] + "issuer=b\n" + p.cert[second:]), bad},
		"newlines written as backslash n": {cert(strings.ReplaceAll(p.cert, "\n", `\n`)), bad},
		"a key among the certificates":    {cert(p.cert + p.key), bad},
		"text that is no PEM":             {cert("certificate"), bad},
		"a block that is no certificate":  {cert(pemOf("CERTIFICATE", []byte("none"))), "ParseCertificateFailed"},
		"a chain of 64 KiB and more":      {cert(strings.Repeat(p.cert, 100)), "DataTooLongException"},
		"carriage returns in the key":     {key(strings.ReplaceAll(p.key, "\n", "\r\n")), badKey},
		"curve parameters before the key": {key(pemOf("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + p.key), badKey},
		"two keys":                        {key(p.key + p.key), badKey},
		"an encrypted key":                {key(pemOf("ENCRYPTED PRIVATE KEY", []byte("none"))), badKey},
		"a key with headers": {
			key(strings.Replace(p.key, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1)), badKey,
		},
		"a key that cannot be parsed": {key(pemOf("EC PRIVATE KEY", []byte("none"))), badKey},
	})
}

func TestChainsAndKeys(t *testing.T) {
	t.Parallel()
	a, key := testCA(), leafKey()
	leaf := pemOf("CERTIFICATE", a.sign(leafFor("a.example.com"), &key.PublicKey))
	intermediate, root := pemOf("CERTIFICATE", a.intermediate.Raw), pemOf("CERTIFICATE", a.root.Raw)
	expired := leafFor("a.example.com")
	expired.NotAfter = epoch.Add(-time.Second)
	selfSigned := leafFor("a.example.com")
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	rsaLeaf := pemOf("CERTIFICATE", a.sign(leafFor("a.example.com"), &rsaKey.PublicKey)) + intermediate
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := func(cert, key string) map[string]string {
		return map[string]string{"Name": "web", "Cert": cert, "Key": key}
	}
	pkcs8 := func(key any) string { return pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }
	pkcs1 := func(key *rsa.PrivateKey) string { return pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)) }
	underRoot := pemOf("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, leafFor("a.example.com"), a.root, &key.PublicKey, a.rootKey)))
	oldLeaf, oldRoot := issueWithSHA1(rsaKey)
	_, otherRoot := issueWithSHA1(must(rsa.GenerateKey(rand.Reader, 1024)))
	checkUploads(t, Options{}, map[string]refusal{
		"a leaf alone":                  {of(leaf, ecPEM(key)), ""},
		"a leaf and its issuer":         {of(leaf+intermediate, ecPEM(key)), ""},
		"a self-signed leaf alone":      {of(pemOf("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, selfSigned, selfSigned, &key.PublicKey, key))), ecPEM(key)), ""},
		"the issuer first":              {of(intermediate+leaf, ecPEM(key)), "NotMatch.CertificateAndPrivateKey"},
		"the issuer twice":              {of(leaf+intermediate+intermediate, ecPEM(key)), "CertificateChainNotMatch"},
		"a certificate of another path": {of(leaf+leaf, ecPEM(key)), "CertificateChainNotMatch"},
		"the root behind":               {of(leaf+intermediate+root, ecPEM(key)), ""},
		"the root alone behind":         {of(leaf+root, ecPEM(key)), "CertificateChainNotMatch"},
		"the root twice":                {of(leaf+intermediate+root+root, ecPEM(key)), "CertificateChainNotMatch"},
		"a leaf under a root":           {of(underRoot+root, ecPEM(key)), ""},
		"a signature over SHA-1":        {of(oldLeaf+oldRoot, pkcs1(rsaKey)), ""},
		"a root of another key":         {of(oldLeaf+otherRoot, pkcs1(rsaKey)), "CertificateChainNotMatch"},
		"an expired leaf":               {of(pemOf("CERTIFICATE", a.sign(expired, &key.PublicKey))+intermediate, ecPEM(key)), "CertificateExpired"},
		"a key of another leaf":         {of(leaf+intermediate, ecPEM(a.rootKey)), "NotMatch.CertificateAndPrivateKey"},
		"a key of another kind":         {of(leaf+intermediate, pkcs8(rsaKey)), "NotMatch.CertificateAndPrivateKey"},
		"RSA as PKCS#1":                 {of(rsaLeaf, pkcs1(rsaKey)), ""},
		"RSA as PKCS#8":                 {of(rsaLeaf, pkcs8(rsaKey)), ""},
		"an elliptic curve as PKCS#8":   {of(leaf, pkcs8(key)), "PrivateKeyFormatException"},
		"an Ed25519 key":                {of(pemOf("CERTIFICATE", a.sign(leafFor("a.example.com"), edPublic)), pkcs8(edKey)), "PrivateKeyFormatException"},
		"an SM certificate":             {of(issueSM("a.example.com").signCert, ecPEM(key)), "ParseCertificateFailed"},
	})
	checkUploads(t, Options{Unknowns: Unknowns{AcceptPKCS8EC: true}}, map[string]refusal{
		"an elliptic curve as PKCS#8 where it is accepted": {of(leaf, pkcs8(key)), ""},
	})
}

// issueWithSHA1 returns a leaf and its root of one RSA key, signed as certificates were
// until 2015.
func issueWithSHA1(key *rsa.PrivateKey) (leaf, root string) {
	ca := leafFor("old.example.com")
	ca.Subject.CommonName, ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = "Old Root", true, true, x509.KeyUsageCertSign
	child := leafFor("a.example.com")
	ca.SignatureAlgorithm, child.SignatureAlgorithm = x509.SHA1WithRSA, x509.SHA1WithRSA
	sign := func(child *x509.Certificate) string {
		return pemOf("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, child, ca, &key.PublicKey, key)))
	}
	return sign(child), sign(ca)
}

// TestTheOrderOfTheChecks sends what is wrong in two ways at once: the recorded order
// decides which is named.
func TestTheOrderOfTheChecks(t *testing.T) {
	t.Parallel()
	a, p, other := testCA(), issueFor("a.example.com"), ecPEM(testCA().rootKey)
	expired := leafFor("a.example.com")
	expired.NotAfter = epoch.Add(-time.Second)
	old := issue(expired)
	leaf := p.cert[:strings.LastIndex(p.cert, "-----BEGIN")]
	intermediate := pemOf("CERTIFICATE", a.intermediate.Raw)
	garbage := pemOf("CERTIFICATE", []byte("none"))
	of := func(cert, key string) map[string]string {
		return map[string]string{"Name": "web", "Cert": cert, "Key": key}
	}
	const form, match = "PrivateKeyFormatException", "NotMatch.CertificateAndPrivateKey"
	checkUploads(t, Options{}, map[string]refusal{
		"a bad key before a bad certificate":              {of("none", "none"), form},
		"a bad key before a chain in the wrong order":     {of(intermediate+leaf, "none"), form},
		"a bad key before an expired leaf":                {of(old.cert, "none"), form},
		"another key before an expired leaf":              {of(old.cert, other), match},
		"another key before a chain that does not match":  {of(leaf+leaf, other), match},
		"another key before a second block of garbage":    {of(leaf+garbage, other), match},
		"another key before text behind the first block":  {of(leaf+"text\n"+intermediate, other), match},
		"a first block of garbage before any other key":   {of(garbage+leaf, other), "ParseCertificateFailed"},
		"the key of the second block":                     {of(intermediate+leaf, p.key), match},
		"garbage behind a leaf with its key":              {of(leaf+garbage, p.key), "ParseCertificateFailed"},
		"text behind a leaf with its key":                 {of(leaf+"text\n"+intermediate, p.key), "CertificateFormatException"},
		"a name that is invalid before a key that is bad": {map[string]string{"Name": "a-b", "Cert": p.cert, "Key": "none"}, "InvalidParameter"},
	})
	_, c, _ := newTestServer(t, Options{})
	c.upload("web", p)
	if r := c.call("UploadUserCertificate", of(leaf, other)); r.code() != match {
		t.Errorf("another key under a name that is taken: %s", r.body)
	}
}

func TestSMPairs(t *testing.T) {
	t.Parallel()
	p, other := issueSM("a.example.com"), issueSM("a.example.com")
	tls := issueFor("a.example.com")
	with := func(change func(*smPair)) map[string]string {
		q := p
		change(&q)
		return q.parameters("web")
	}
	nist := pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(leafKey())))
	chained := issueSMUnderRoot("a.example.com")
	ignored := with(func(*smPair) {})
	ignored["Cert"], ignored["Key"], ignored["SignCert"] = tls.cert, tls.key, "ignored"
	checkUploads(t, Options{}, map[string]refusal{
		"a pair":                                 {with(func(*smPair) {}), ""},
		"a pair beside a TLS certificate":        {ignored, ""},
		"no encryption key":                      {with(func(p *smPair) { p.encryptKey = "" }), "MissingParameter"},
		"the key of another signing certificate": {with(func(p *smPair) { p.signKey = other.signKey }), "NotMatch.CertificateAndPrivateKey"},
		"keys exchanged":                         {with(func(p *smPair) { p.signKey, p.encryptKey = p.encryptKey, p.signKey }), "NotMatch.CertificateAndPrivateKey"},
		"certificates exchanged":                 {with(func(p *smPair) { *p = smPair{p.encryptCert, p.encryptKey, p.signCert, p.signKey} }), "ParseCertificateFailed"},
		"a TLS certificate in an SM parameter":   {with(func(p *smPair) { p.signCert = tls.cert }), "ParseCertificateFailed"},
		"a NIST key in an SM parameter":          {with(func(p *smPair) { p.signKey = tls.key }), "PrivateKeyFormatException"},
		"keys as PKCS#8":                         {with(func(p *smPair) { p.signKey, p.encryptKey = smPKCS8(p.signKey), smPKCS8(p.encryptKey) }), ""},
		"a NIST key as PKCS#8":                   {with(func(p *smPair) { p.signKey = nist }), "PrivateKeyFormatException"},
		"garbage as PKCS#8":                      {with(func(p *smPair) { p.signKey = pemOf("PRIVATE KEY", []byte("none")) }), "PrivateKeyFormatException"},
		"a chain with a root":                    {with(func(p *smPair) { p.signCert, p.signKey = chained.signCert, chained.signKey }), ""},
	})
}

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	p := issueFor("a.example.com")
	upload := func(c *client, name string) string {
		return c.call("UploadUserCertificate", map[string]string{"Name": name, "Cert": p.cert, "Key": p.key}).code()
	}
	tests := map[string]struct {
		unknowns            Unknowns
		same, upper, abroad string
	}{
		"by default ignoring case and per region": {Unknowns{}, "NameRepeat", "NameRepeat", ""},
		"with case where that counts":             {Unknowns{NamesCaseSensitive: true}, "NameRepeat", "", ""},
		"over both regions where they share them": {Unknowns{NamesSharedAcrossRegions: true}, "NameRepeat", "NameRepeat", "NameRepeat"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := newTestServer(t, Options{Unknowns: test.unknowns})
			got := []string{upload(c, "web"), upload(c, "web"), upload(c, "WEB"), upload(c.at(s, RegionInternational), "web")}
			if diff := cmp.Diff([]string{"", test.same, test.upper, test.abroad}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExpiredCertificatesKeepTheirNames(t *testing.T) {
	t.Parallel()
	_, c, clock := newTestServer(t, Options{})
	c.upload("expired", issueFor("a.example.com"))
	clock.advance(100 * 24 * time.Hour)
	fresh := leafFor("a.example.com")
	fresh.NotAfter = clock.Now().Add(time.Hour)
	p := issue(fresh)
	if r := c.call("UploadUserCertificate", map[string]string{"Name": "expired", "Cert": p.cert, "Key": p.key}); r.code() != "NameRepeat" {
		t.Error(r.body)
	}
}

func TestNamesOfDeletedCertificates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		held              time.Duration
		at, before, after string
	}{
		"are free at once":              {0, "", "NameRepeat", "NameRepeat"},
		"are free after a time":         {time.Minute, "NameRepeat", "NameRepeat", ""},
		"are never free where it is so": {-1, "NameRepeat", "NameRepeat", "NameRepeat"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, clock := newTestServer(t, Options{Unknowns: Unknowns{NameHeldAfterDelete: test.held}})
			p := issueFor("a.example.com")
			if !s.DeleteOutOfBand(testAccount, RegionChina, c.upload("web", p)) {
				t.Fatal("not deleted")
			}
			for _, step := range []struct {
				wait time.Duration
				want string
			}{{0, test.at}, {time.Minute - 1, test.before}, {1, test.after}} {
				clock.advance(step.wait)
				r := c.call("UploadUserCertificate", map[string]string{"Name": "web", "Cert": p.cert, "Key": p.key})
				if r.code() != step.want {
					t.Errorf("after %s more: %q, want %q", step.wait, r.code(), step.want)
				}
			}
		})
	}
}

func TestCertIDsAreCountedByRegion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		same          bool
		china, abroad int64 // the first of each
	}{
		"from numbers of its own":             {false, 27_100_001, 585_001},
		"from the same number where it is so": {true, 27_100_001, 27_100_001},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := newTestServer(t, Options{SameCertIDs: test.same})
			abroad, p := c.at(s, RegionInternational), issueFor("a.example.com")
			got := []int64{c.upload("a", p)}
			for _, name := range []string{"a", "a-b"} { // a name that is taken, one that is invalid
				if r := c.call("UploadUserCertificate", map[string]string{"Name": name, "Cert": p.cert, "Key": p.key}); r.code() == "" {
					t.Errorf("%s is taken", name)
				}
			}
			got = append(got, c.upload("b", p), abroad.upload("a", p), abroad.upload("b", p), c.upload("c", p))
			if diff := cmp.Diff([]int64{test.china, test.china + 1, test.abroad, test.abroad + 1, test.china + 2}, got); diff != "" {
				t.Error(diff)
			}
			if r := c.call("DeleteUserCertificate", map[string]string{"CertId": formatID(test.abroad)}); test.same != (r.code() == "") {
				t.Errorf("the id of the other region: %s", r.body)
			}
			if held := s.Certificates(testAccount, RegionInternational); len(held) != 2 {
				t.Errorf("%d certificates at the other region, want 2", len(held))
			}
		})
	}
}

func TestResourceIDsAreDistinct(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{UploadLimit: -1})
	abroad, p, seen := c.at(s, RegionInternational), issueFor("a.example.com"), map[string]bool{}
	for n := range 25 {
		c.upload(fmt.Sprint("web", n), p)
		abroad.upload(fmt.Sprint("web", n), p)
	}
	for _, h := range slices.Concat(s.Certificates(testAccount, RegionChina), s.Certificates(testAccount, RegionInternational)) {
		if !regexp.MustCompile(`^cas-upload-[0-9a-z]{6}$`).MatchString(h.ResourceID) || seen[h.ResourceID] {
			t.Errorf("resource id %q", h.ResourceID)
		}
		seen[h.ResourceID] = true
	}
}

func TestACertificateInUseIsNotDeleted(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{"InvalidStatus.DeleteProtection": 400, "Never.Seen": 400, "NoPermission": 403} {
		s, c, _ := newTestServer(t, Options{SameCertIDs: true})
		abroad, p := c.at(s, RegionInternational), issueFor("a.example.com")
		used, other := c.upload("used", p), c.upload("other", p)
		if twin := abroad.upload("twin", p); twin != used || !s.SetInUse(testAccount, RegionChina, used, code) {
			t.Fatalf("certificate %d of the other region, want %d", twin, used)
		}
		remove := func(c *client, id int64) result {
			return c.call("DeleteUserCertificate", map[string]string{"CertId": formatID(id)})
		}
		if r := remove(c, used); r.code() != code || r.status != status {
			t.Errorf("%s: %d %s", code, r.status, r.body)
		}
		if call := s.Journal()[len(s.Journal())-1]; call.Committed || call.Code != code {
			t.Errorf("%s: journal %+v", code, call)
		}
		if a, b := remove(c, other), remove(abroad, used); a.code() != "" || b.code() != "" {
			t.Errorf("%s: the others are not deleted: %q, %q", code, a.code(), b.code())
		}
		if r := c.call("UploadUserCertificate", map[string]string{"Name": "used", "Cert": p.cert, "Key": p.key}); r.code() != "NameRepeat" {
			t.Errorf("%s: the name of one in use: %s", code, r.body)
		}
		if !s.SetInUse(testAccount, RegionChina, used, "") || remove(c, used).code() != "" {
			t.Errorf("%s: no longer in use, but not deleted", code)
		}
		if s.SetInUse(testAccount, RegionChina, used, code) || s.SetInUse(otherID, RegionChina, used, code) || s.SetInUse(testAccount, "none", used, code) {
			t.Errorf("%s: what is not there is in use", code)
		}
	}
}

func TestNamesHeldOverBothRegions(t *testing.T) {
	t.Parallel()
	s, c, clock := newTestServer(t, Options{Unknowns: Unknowns{NamesSharedAcrossRegions: true, NameHeldAfterDelete: time.Minute}})
	abroad, p := c.at(s, RegionInternational), issueFor("a.example.com")
	id := c.upload("web", p)
	again := func() string {
		return abroad.call("UploadUserCertificate", map[string]string{"Name": "web", "Cert": p.cert, "Key": p.key}).code()
	}
	got := []string{again()}
	if r := c.call("DeleteUserCertificate", map[string]string{"CertId": formatID(id)}); r.status != http.StatusOK {
		t.Fatal(r.body)
	}
	got = append(got, again())
	clock.advance(time.Minute)
	got = append(got, again())
	if diff := cmp.Diff([]string{"NameRepeat", "NameRepeat", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeletesAndDetailsCheckTheirParameter(t *testing.T) {
	t.Parallel()
	_, c, _ := newTestServer(t, Options{})
	for action, name := range map[string]string{
		"DeleteUserCertificate": "CertId", "GetUserCertificateDetail": "CertId", "GetCertificateDetail": "CertificateId",
	} {
		for value, want := range map[string]string{"": "MissingParameter", "x": "InvalidParameter", "0": "InvalidParameter", "9": "NotFound"} {
			if r := c.call(action, map[string]string{name: value}); r.status != http.StatusBadRequest || r.code() != want {
				t.Errorf("%s of %q: %d %s, want 400 %s", action, value, r.status, r.code(), want)
			}
		}
	}
}

func TestOnlyTheUserDetailGivesThePrivateKey(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	p := issueFor("a.example.com")
	id := formatID(c.upload("web", p))
	full := c.call("GetUserCertificateDetail", map[string]string{"CertId": id})
	if full.fields["Key"] != p.key || full.fields["Cert"] != p.cert {
		t.Error("the detail does not hold what was uploaded")
	}
	filtered := c.call("GetUserCertificateDetail", map[string]string{"CertId": id, "CertFilter": "true"})
	bare := c.call("GetCertificateDetail", map[string]string{"CertificateId": id})
	for _, r := range []result{filtered, bare} {
		if r.status != http.StatusOK || strings.Contains(r.body, "PRIVATE KEY") || strings.Contains(r.body, "BEGIN") {
			t.Errorf("a detail without bodies: %d, with a PEM block: %t", r.status, strings.Contains(r.body, "BEGIN"))
		}
	}
	var returned []bool
	for _, call := range s.Journal()[1:] {
		returned = append(returned, call.KeyReturned)
	}
	if diff := cmp.Diff([]bool{true, false, false}, returned); diff != "" {
		t.Errorf("the journal's KeyReturned: %s", diff)
	}
}
