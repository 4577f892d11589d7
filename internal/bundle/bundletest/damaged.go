// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// damagedSection has files with a part that was meant to be read and is not.
func (at Clock) damagedSection() Section {
	// second changes the block of the intermediate, which is the second one.
	second := func(change func([]byte) []byte) func(testing.TB) Data {
		return at.dressed(func(b []byte) []byte {
			i := bytes.LastIndex(b, []byte("-----BEGIN"))
			return append(bytes.Clone(b[:i]), change(bytes.Clone(b[i:]))...)
		}, nil)
	}
	marks := func(pairs ...string) func(testing.TB) Data { return second(replaceAll(pairs...)) }
	return Section{"TLS: damaged and disguised files", []Row{
		{Shape: "UTF-16 appended to ASCII (`>>` of PowerShell)", Want: Refused, Data: second(utf16Of)},
		{Shape: "UTF-16, big endian, appended to ASCII", Want: Refused, Data: second(func(b []byte) []byte { return swapped(utf16Of(b)) })},
		{Shape: "UTF-16 without a byte order mark", Want: Refused, Data: at.dressed(func(b []byte) []byte { return utf16Of(b)[2:] }, nil)},
		{Shape: "a BEGIN line that lost a dash", Want: Refused, Data: marks("-----BEGIN", "----BEGIN")},
		{Shape: "BEGIN and END lines with spaces between the dashes", Want: Refused, Data: marks("-----BEGIN", "----- BEGIN", "CATE-----", "CATE -----")},
		{Shape: "BEGIN and END lines in typographic dashes", Want: Refused, Data: marks("-----", "–––––")},
		{Shape: "BEGIN and END lines in lower case", Want: Refused, Data: marks("BEGIN CERTIFICATE", "begin certificate", "END CERTIFICATE", "end certificate")},
		{Shape: "a block without its BEGIN and END lines, beside others", Want: Refused, Data: marks("-----BEGIN CERTIFICATE-----\n", "", "-----END CERTIFICATE-----\n", "")},
		{Shape: "DER and PEM in one file (`cat inter.der leaf.pem`)", Want: Refused, Data: at.dressed(func(b []byte) []byte { return append(DEROf(b), b...) }, nil)},
		{Shape: "a certificate under a mistyped label", Want: Accepted, Note: "as it is", Data: marks("CERTIFICATE", "CERTIFCATE")},
		{Shape: "a certificate under any other label (`CA CERTIFICATE`, `PUBLIC KEY`)", Want: Accepted, Note: "as it is", Data: second(relabel("CA CERTIFICATE"))},
		{Shape: "a block under a label of certificates that is none", Want: Refused, Data: second(constant(BlockPEM("CA CERTIFICATE", []byte("0"))))},
		{Shape: "a block of PKCS#7 beside certificates", Want: Refused, Data: second(constant(BlockPEM("PKCS7", Container(oidSignedData))))},
		{Shape: "a block that holds PEM once more", Want: Refused, Data: second(func(b []byte) []byte { return BlockPEM("CERTIFICATE", b) })},
		{Shape: "a block of no known kind", Want: Warned, Data: second(constant(BlockPEM("SSH2 COMMENT", []byte("0"))))},
		{Shape: "line ends written as \\r\\n, once or twice escaped", Want: Accepted, Note: "with line ends", Data: at.dressed(replaceAll("\n", `\r\n`), replaceAll("\n", `\\n`))},
		{Shape: "JSON's escapes of / and +", Want: Accepted, Note: "without them", Data: at.dressed(nil, replaceAll("/", `\/`, "+", `\u002b`, "\n", `\n`))},
		{Shape: "escapes of C, shells, URLs or HTML (`\\x0a`, `\\012`, `\\=`, `%0A`, `&#45;`)", Want: Accepted, Note: "without them", Data: func(tb testing.TB) Data {
			d := marks("\n", `\x0a`, "=", `\=`, "/", "%2F", "-", "&#45;")(tb)
			d["tls.key"] = replaceAll("\n", `\012`)(d["tls.key"])
			return d
		}},
		{Shape: "tags of HTML (`<br>`)", Want: Refused, Data: at.dressed(replaceAll("\n", "<br>"), nil)},
		{Shape: "headers within a block (`friendlyName: web`)", Want: Accepted, Note: "without them", Data: marks("CERTIFICATE-----\nMII", "CERTIFICATE-----\nfriendlyName: web\n\nMII")},
		{Shape: "base64 encoded twice, with text before the block", Want: Refused, Data: at.dressed(func(b []byte) []byte {
			return []byte(base64.StdEncoding.EncodeToString(append([]byte("Bag Attributes\n"), b...)))
		}, nil)},
		{Shape: "base64 encoded three times", Want: Refused, Data: at.dressed(func(b []byte) []byte { return inBase64(inBase64(b)) }, nil)},
		{Shape: "base64 of UTF-16 (`[Convert]::ToBase64String` of PowerShell)", Want: Refused, Data: at.dressed(func(b []byte) []byte { return inBase64(utf16Of(b)[2:]) }, nil)},
		{Shape: "base64 twice, in quotes or behind a name", Want: Refused, Data: at.dressed(func(b []byte) []byte { return []byte(`crt: "` + string(inBase64(b)) + `"`) }, nil)},
		{Shape: "base64 twice, in the alphabet for URLs", Want: Refused, Data: at.dressed(func(b []byte) []byte {
			return []byte(base64.URLEncoding.EncodeToString(append([]byte("???>>>\n"), b...)))
		}, nil)},
		{Shape: "a data: URI", Want: Refused, Data: at.dressed(func(b []byte) []byte { return append([]byte("data:application/x-pem-file;base64,"), inBase64(b)...) }, nil)},
		{Shape: "hexadecimal of PEM", Want: Refused, Data: at.dressed(inHex, nil)},
		{Shape: "hexadecimal of DER", Want: Refused, Data: at.dressed(func(b []byte) []byte { return inHex(DEROf(b)) }, nil)},
		{Shape: "base64 twice, with text behind it", Want: Refused, Data: at.dressed(func(b []byte) []byte { return append(inBase64(b), "\n# end of the chain\n"...) }, nil)},
		{Shape: "gzip, or base64 of it", Want: Refused, Data: at.dressed(constant([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")), nil)},
		{Shape: "an encrypted key in DER", Want: Refused, Data: at.dressed(nil, constant(encryptedKey(oidPBES2)))},
		{Shape: "PKCS#12 in base64", Want: Refused, Data: at.dressed(constant([]byte(base64.StdEncoding.EncodeToString(pkcs12()))), nil)},
	}}
}

func inBase64(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }

func inHex(b []byte) []byte { return []byte(hex.EncodeToString(b)) }

func swapped(b []byte) []byte {
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return b
}
