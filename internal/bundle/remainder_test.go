// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// wrapped breaks a text into lines.
func wrapped(text string, width int) string {
	return strings.Join(chunks(text, width), "\n") + "\n"
}

func chunks(text string, width int) []string {
	var out []string
	for part := range slices.Chunk([]byte(text), width) {
		out = append(out, string(part))
	}
	return out
}

// grouped puts a space between groups, and some groups into a line.
func grouped(text string, size, inLine int) string {
	var out strings.Builder
	for line := range slices.Chunk(chunks(text, size), inLine) {
		out.WriteString(strings.Join(line, " ") + "\n")
	}
	return out.String()
}

// eachLine writes each line of a text in a format.
func eachLine(format, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		fmt.Fprintf(&out, format+"\n", strings.TrimSpace(line))
	}
	return out.String()
}

func encodings(der, text []byte) map[string]string {
	in64, inHex := base64.StdEncoding.EncodeToString(der), hex.EncodeToString(der)
	twice := base64.StdEncoding.EncodeToString(text)
	var utf16 []byte
	for _, c := range text {
		utf16 = append(utf16, c, 0)
	}
	body := strings.Join(strings.Split(strings.TrimSpace(string(text)), "\n")[1:], "\n")
	body, _, _ = strings.Cut(body, "\n-----")
	return map[string]string{
		"base64 in one line":             in64 + "\n",
		"base64, 64 wide":                body + "\n",
		"base64, 76 wide":                wrapped(in64, 76),
		"base64, 44 wide":                wrapped(in64, 44),
		"base64, 20 wide":                wrapped(in64, 20),
		"base64, 4 wide":                 wrapped(in64, 4),
		"base64 without its first lines": wrapped(in64[120:], 44),
		"base64 from its middle":         wrapped(in64[131:], 64),
		"base64 between blank lines":     wrapped(in64, 44)[:300] + "\n\n" + wrapped(in64, 44)[300:],
		"base64 in groups of four":       grouped(in64, 4, 16),
		"the middle of such":             grouped(in64[52:], 4, 10),
		"base64 in groups of ten":        grouped(in64, 10, 6),
		"quoted base64":                  eachLine("> %s", wrapped(in64, 44)),
		"base64 in a comment":            eachLine("# %s", wrapped(in64[31:], 44)),
		"base64 in strings":              eachLine("  \"%s\",", wrapped(in64[31:], 44)),
		"base64 behind backslashes":      eachLine("%s\\", wrapped(in64[31:], 44)),
		"base64 in comments of C":        eachLine("// %s", wrapped(in64[31:], 44)),
		"base64 in strings of Java":      eachLine("  \"%s\" +", wrapped(in64[31:], 44)),
		"base64 in a list":               eachLine("| %s |", wrapped(in64[31:], 44)),
		"numbered base64":                "12 " + wrapped(in64[31:75], 44) + "13 " + wrapped(in64[75:119], 44) + eachLine("14 %s", wrapped(in64[119:], 44)),
		"base64 behind a name":           "caBundle: " + in64 + "\n",
		"base64 in XML":                  "<X509Certificate>" + in64 + "</X509Certificate>\n",
		"base64 in JSON":                 `{"ca":"` + in64 + `"}` + "\n",
		"base64 for URLs":                wrapped(base64.URLEncoding.EncodeToString(der), 44),
		"between lines of equals signs":  "=====BEGIN CERTIFICATE=====\n" + wrapped(in64, 44) + "=====END CERTIFICATE=====\n",
		"between words":                  "BEGIN CERTIFICATE\n" + wrapped(in64, 44) + "END CERTIFICATE\n",
		"base64 of PEM":                  twice + "\n",
		"base64 of PEM, 44 wide":         wrapped(twice, 44),
		"the middle of such, 44 wide":    wrapped(twice[131:], 44),
		"base64 of base64 of PEM":        wrapped(base64.StdEncoding.EncodeToString([]byte(twice)), 76),
		"base64 of UTF-16":               wrapped(base64.StdEncoding.EncodeToString(utf16), 44),
		"base64 of UTF-16 with a mark":   base64.StdEncoding.EncodeToString(append([]byte{0xff, 0xfe}, utf16...)) + "\n",
		"hexadecimal":                    inHex + "\n",
		"hexadecimal in lines":           wrapped(inHex, 32),
		"hexadecimal in capitals":        strings.ToUpper(wrapped(inHex, 64)),
		"hexadecimal in pairs":           grouped(inHex, 2, 16),
		"the middle of such in pairs":    grouped(inHex[40:], 2, 16),
		"hexadecimal with colons":        strings.ReplaceAll(grouped(inHex, 2, 15), " ", ":"),
		"hexadecimal of PEM":             wrapped(hex.EncodeToString(text), 64),
		"hexadecimal behind a name":      "ca = 0x" + inHex + "\n",
		"a dump of xxd":                  "00000000: " + grouped(inHex[:32], 4, 8) + "00000010: " + grouped(inHex[32:64], 4, 8),
		"a dump of hexdump":              hex.Dump(der),
		"an array in C":                  "0x" + strings.Join(chunks(inHex, 2), ", 0x") + "\n",
		"base32":                         wrapped(base32.StdEncoding.EncodeToString(der), 64),
	}
}

// TestEncodedCertificatesBesideBlocksAreNeverDropped has an intermediate in any dress
// but the right one.
func TestEncodedCertificatesBesideBlocksAreNeverDropped(t *testing.T) {
	t.Parallel()
	for range 10 { // the certificates are random
		h := at.Hierarchy(t, bundletest.P256(t))
		leaf, key := bundletest.CertPEM(h.Leaf), bundletest.SEC1PEM(t, h.Leaf.Key)
		for name, text := range encodings(h.Inter.Raw, bundletest.CertPEM(h.Inter)) {
			for _, value := range [][]byte{append(bytes.Clone(leaf), text...), append([]byte(text), leaf...)} {
				if b, err := load(bundletest.TLSData(value, key)); err == nil {
					t.Fatalf("%s: accepted without it, with the warnings %v:\n%s", name, b.Warnings, text)
				}
			}
		}
	}
}

// TestEncodedKeysBesideBlocksAreNeverDropped is about the shortest data there is.
func TestEncodedKeysBesideBlocksAreNeverDropped(t *testing.T) {
	t.Parallel()
	for range 20 {
		key := bundletest.P256(t)
		for _, text := range [][]byte{bundletest.SEC1PEM(t, key), bundletest.PKCS8PEM(t, key)} {
			der := bundletest.DEROf(text)
			for name, encoded := range map[string]string{
				"base64":      wrapped(base64.StdEncoding.EncodeToString(der), 44),
				"its middle":  wrapped(base64.StdEncoding.EncodeToString(der)[20:], 44),
				"hexadecimal": wrapped(hex.EncodeToString(der), 64),
			} {
				if _, err := pemBlocks(slices.Concat(text, []byte(encoded))); !errors.Is(err, errOutside) {
					t.Fatalf("%s: got %v", name, err)
				}
			}
		}
	}
}

// TestBinaryDataBesideBlocksIsNeverDropped has files that cat made of DER and PEM.
func TestBinaryDataBesideBlocksIsNeverDropped(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	leaf, key := bundletest.CertPEM(h.Leaf), bundletest.SEC1PEM(t, h.Leaf.Key)
	for name, value := range map[string][]byte{
		"DER before it":              slices.Concat(h.Inter.Raw, leaf),
		"DER and a line end":         slices.Concat(h.Inter.Raw, []byte("\n"), leaf),
		"DER behind it":              slices.Concat(leaf, h.Inter.Raw),
		"DER without a NUL":          slices.Concat(bytes.ReplaceAll(h.Inter.Raw, []byte{0}, []byte{1}), leaf),
		"PKCS#7 before it":           slices.Concat(bundletest.MustMarshal(contentInfo{Type: oidSignedData}), h.Inter.Raw, leaf),
		"a keystore of Java before":  slices.Concat([]byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"), h.Inter.Raw, leaf),
		"DER between two blocks":     slices.Concat(leaf, h.Inter.Raw, bundletest.CertPEM(h.Root)),
		"the key in DER and as text": slices.Concat(bundletest.DEROf(key), leaf),
	} {
		_, err := load(bundletest.TLSData(value, key))
		if err == nil || !strings.Contains(err.Error(), "holds binary data beside PEM") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
