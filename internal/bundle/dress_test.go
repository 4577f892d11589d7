// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

func inBase64(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }
func inHex(b []byte) []byte    { return []byte(hex.EncodeToString(b)) }

// inUTF16 encodes ASCII.
func inUTF16(b []byte) []byte {
	var out []byte
	for _, c := range b {
		out = append(out, c, 0)
	}
	return out
}

func TestEncodingsAreNamed(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	pem, der := bundletest.CertPEM(h.Leaf, h.Inter), h.Leaf.Raw
	named := func(name string, value []byte) []byte { return append([]byte(name), value...) }
	for name, tc := range map[string]struct {
		value []byte
		want  string
	}{
		"base64":                       {inBase64(pem), "is base64 of PEM: it was encoded twice:"},
		"base64 in lines":              {[]byte(wrapped(string(inBase64(pem)), 76)), "is base64 of PEM: it was encoded twice:"},
		"base64 without its padding":   {[]byte(base64.RawStdEncoding.EncodeToString(append(pem, '\n'))), "is base64 of PEM: it was encoded twice:"},
		"base64 for URLs":              {[]byte(base64.URLEncoding.EncodeToString(append([]byte("???>>>\n"), pem...))), "is base64 of PEM: it was encoded twice:"},
		"base64 in quotes":             {named(`"`, append(inBase64(pem), "\"\n"...)), "is base64 of PEM: it was encoded twice:"},
		"base64 behind a name":         {named("tls.crt: ", inBase64(pem)), "is base64 of PEM: it was encoded twice:"},
		"base64 behind an equals sign": {named("CERT='", append(inBase64(pem), '\'')), "is base64 of PEM: it was encoded twice:"},
		"base64 in JSON":               {named(`{"crt": "`, append(inBase64(pem), `"}`...)), "is base64 of PEM: it was encoded twice:"},
		"base64 of base64":             {inBase64(inBase64(pem)), "is base64 of base64 of PEM: it was encoded three times:"},
		"base64 three times over":      {inBase64(inBase64(inBase64(pem))), "it was encoded four times:"},
		"base64 of base64 in lines":    {inBase64([]byte(wrapped(string(inBase64(pem)), 76))), "it was encoded three times:"},
		"base64 of UTF-16":             {inBase64(inUTF16(pem)), "is base64 of UTF-16 of PEM: save it as UTF-8"},
		"base64 of UTF-16 with a mark": {inBase64(named("\xff\xfe", inUTF16(pem))), "is base64 of UTF-16 of PEM: save it as UTF-8"},
		"a URI":                        {named("data:application/x-pem-file;base64,", inBase64(pem)), "is a data: URI of PEM:"},
		"hexadecimal":                  {inHex(pem), "is hexadecimal of PEM:"},
		"base64 of hexadecimal":        {inBase64(inHex(pem)), "is base64 of hexadecimal of PEM:"},
		"DER":                          {der, "is DER, not PEM:"},
		"base64 of DER":                {inBase64(der), "is base64 without its PEM lines: add"},
		"base64 of base64 of DER":      {inBase64(inBase64(der)), "is DER in base64 of base64, not PEM: decode it; convert"},
		"hexadecimal of DER":           {inHex(der), "is DER in hexadecimal, not PEM:"},
		"hexadecimal with colons":      {[]byte(strings.Join(chunks(string(inHex(der)), 2), ":")), "is DER in hexadecimal, not PEM:"},
		"an array in C":                {[]byte("{0x" + strings.Join(chunks(string(inHex(der)), 2), ", 0x") + "}"), "is DER in hexadecimal, not PEM:"},
		"PKCS#7":                       {inBase64(bundletest.Container(oidSignedData)), "is PKCS#7 in base64, not PEM: decode it with base64 -d;"},
		"base64 and a comment":         {append(inBase64(pem), "\n# done\n"...), "is base64 of PEM: it was encoded twice:"},
		"lines and a comment":          {[]byte(wrapped(string(inBase64(pem)), 60) + "-- end of the chain --\n"), "is base64 of PEM: it was encoded twice:"},
		"a name, lines and a comment":  {[]byte("crt:\n" + wrapped(string(inBase64(pem)), 60) + "====\n"), "is base64 of PEM: it was encoded twice:"},
		"gzip":                         {[]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), "is compressed (gzip), not PEM: decompress"},
		"base64 of gzip":               {inBase64([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")), "is compressed (gzip) in base64, not PEM: decode"},
		"no base64":                    {[]byte("changeme"), "holds no PEM block:"},
		"base64 of nothing":            {inBase64([]byte("changeme")), "holds no PEM block:"},
		"a host name":                  {[]byte("host: www.example.com"), "holds no PEM block:"},
		"a number":                     {[]byte("30820176"), "holds no PEM block:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(bundletest.TLSData(tc.value, bundletest.SEC1PEM(t, h.Leaf.Key)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestEnvelopesAreOpenedInAnyDress(t *testing.T) {
	t.Parallel()
	p := at.Pair(t)
	envelope := p.Envelope(t)
	in64, hexadecimal := string(inBase64(envelope)), string(inHex(envelope))
	for name, value := range map[string]string{
		"DER":                     string(envelope),
		"base64":                  in64,
		"base64 in lines":         wrapped(in64, 64),
		"base64 in quotes":        `"` + in64 + `"`,
		"base64 behind a name":    "EncKey=" + in64,
		"base64 behind a line":    "the key:\n" + in64 + "\n",
		"base64 before a line":    in64 + "\n-- end of the key --\n",
		"base64 between lines":    "-- key --\n" + wrapped(in64, 64) + "-- end of the key --\n",
		"base64 in JSON":          `{"encKey": "` + in64 + `", "id": 1}`,
		"base64 for URLs":         base64.RawURLEncoding.EncodeToString(envelope),
		"base64 twice":            string(inBase64([]byte(in64))),
		"hexadecimal":             hexadecimal,
		"hexadecimal in capitals": "key: " + strings.ToUpper(hexadecimal),
		"hexadecimal in lines":    wrapped(hexadecimal, 32),
	} {
		d := p.Data(t)
		d["enc.key"] = []byte(value)
		if _, err := Load(secretOf(d), Options{Type: SM, Now: testNow}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
