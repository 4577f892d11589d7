// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"strings"
	"testing"
)

func TestDamagedPEMIsAnErrorAndNeverSkipped(t *testing.T) {
	t.Parallel()
	const (
		sound = "-----BEGIN A-----\nAAAA\n-----END A-----\n"
		line  = "MIIBdjCCAR2gAwIBAgICEAMwCgYIKoZIzj0EAwIwHDEaMBgGA1UEAwwRVGVzdCBJ"
	)
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"a block without end":                  {sound + "-----BEGIN A-----\nAAAA\n", errUnterminated},
		"a block without end before another":   {"-----BEGIN A-----\nAAAA\n" + sound, errUnterminated},
		"a begin before an encrypted block":    {"-----BEGIN A-----\n-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----", errUnterminated},
		"an end of another label":              {"-----BEGIN A-----\nAAAA\n-----END B-----\n" + sound, errUnterminated},
		"a label over two lines":               {"-----BEGIN A\n-----\nAAAA\n-----END A\n-----", errUnterminated},
		"a begin at the very end":              {sound + "-----BEGIN ", errUnterminated},
		"a character that is no base64":        {sound + "-----BEGIN A-----\nAA*A\n-----END A-----", errBadBase64},
		"base64 that lost a character":         {"-----BEGIN A-----\nAAAAA\n-----END A-----", errBadBase64},
		"an empty block":                       {"-----BEGIN A-----\n-----END A-----", errBadBase64},
		"a header":                             {"-----BEGIN A-----\nComment: x\n\nAAAA\n-----END A-----", nil},
		"base64 with the end in the same line": {"-----BEGIN A-----AAAA-----END A-----", nil},
		"an END that lost a dash":              {sound + "-----BEGIN A-----\nAAAA\n-----END A----", errUnterminated},
		"a BEGIN that lost a dash":             {sound + "----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", errDamagedMark},
		"a BEGIN that lost four dashes":        {sound + "-BEGIN CERTIFICATE-----\nAAAA", errDamagedMark},
		"spaces within the dashes":             {sound + "- - - - - BEGIN CERTIFICATE - - - - -\nAAAA", errDamagedMark},
		"a tab for the space":                  {sound + "-----BEGIN\tCERTIFICATE-----\nAAAA", errDamagedMark},
		"a space that does not break":          {sound + "-----BEGIN\u00a0CERTIFICATE-----\nAAAA", errDamagedMark},
		"a space of zero width":                {sound + "-----\u200bBEGIN CERTIFICATE-----\nAAAA", errDamagedMark},
		"no space":                             {sound + "-----BEGINCERTIFICATE-----\nAAAA", errDamagedMark},
		"a space as a form has it":             {sound + "-----BEGIN+CERTIFICATE-----%0AAAAA", errDamagedMark},
		"en dashes":                            {sound + "–––––BEGIN EC PRIVATE KEY–––––\nAAAA", errDamagedMark},
		"em dashes":                            {sound + "—–BEGIN CERTIFICATE—–\nAAAA", errDamagedMark},
		"minus signs":                          {sound + "\u2212\u2212BEGIN CERTIFICATE\u2212\u2212\nAAAA", errDamagedMark},
		"lower case":                           {sound + "-----begin new certificate request-----\nAAAA", errDamagedMark},
		"a BEGIN of its own before a block":    {"----BEGIN CERTIFICATE-----\n" + sound, errDamagedMark},
		"an END of its own":                    {"AAAA\n-----END CERTIFICATE-----\n" + sound, errDamagedMark},
		"dashes before the END only":           {sound + "BEGIN CERTIFICATE\nAAAA\n--END CERTIFICATE", errDamagedMark},
		"a mistyped BEGIN":                     {sound + "-----BEGNI CERTIFICATE-----\n" + line + "\n", errOutside},
		"base64 that lost both its lines":      {sound + line + "\n" + line + "\n", errOutside},
		"dashes before and behind an END":      {sound + "- END CERTIFICATE --\nAAAA", errDamagedMark},
		"an escaped space before the BEGIN":    {sound + "-----%20BEGIN CERTIFICATE-----\nAAAA", errDamagedMark},
		"one dash before the BEGIN":            {sound + "-BEGIN CERTIFICATE REQUEST-----\nAAAA", errDamagedMark},
		"base64 in quotes":                     {sound + "\t\"" + line + "\",\n", errOutside},
		"the middle of a block":                {sound + "AwEAAaOCAzYwggMyMA4GA1UdDwEB/wQEAwIFoDAdBgNVHSUEFjAUBggrBgEFBQcD\n", errOutside},
		"base64 behind a name":                 {sound + "certificate: " + line + "\n", errOutside},
		"base64 of PEM behind a name":          {sound + "tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJkakNDQVIyZ0F3SUJBZ0lD\n", errOutside},
		"a short key behind a name":            {sound + "key: MDECAQEEIBERERERERERERERERERERERERERERERERERERERERERoAoGCCqGSM49AwEH\n", errOutside},
		"base64 of PEM behind a block":         {sound + "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJkakNDQVIyZ0F3SUJBZ0lD\n", errOutside},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks, err := pemBlocks([]byte(tc.text))
			if !errors.Is(err, tc.want) || err == nil && len(blocks) != 1 || err != nil && blocks != nil {
				t.Errorf("got %d blocks and %v, want %v", len(blocks), err, tc.want)
			}
		})
	}
}

func TestExplanationsAroundBlocksAreIgnored(t *testing.T) {
	t.Parallel()
	const sound = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	for name, text := range map[string]string{
		"attributes of openssl pkcs12":  "Bag Attributes\n    friendlyName: web\n    localKeyID: 54 69 6D 65 20 31\nKey Attributes: <No Attributes>\n",
		"names of openssl pkcs7":        "subject=CN = www.example.com\nissuer=C = US, O = Let's Encrypt, CN = R11\n",
		"a dump of openssl x509":        "Certificate:\n    Data:\n        Serial Number:\n            04:d2\n    Signature Value:\n        30:45:02:21:00:a1\n",
		"a session of openssl s_client": "CONNECTED(00000003)\n---\nCertificate chain\n 0 s:CN=www.example.com\n---\nServer certificate\n",
		"a heading":                     "# ----- intermediate certificate -----\n",
		"an ending":                     "# --- end of the chain ---\n",
		"words with a hyphen":           "# the back-end certificate and its back-end key\n",
		"words that end in end":         "# --- backend certificate ---\n----- Frontend Certificate -----\n-- weekend key --\n",
		"words with a hyphen in rules":  "# --- back-end certificate ---\n----- front-end key -----\n",
		"a sentence that has BEGIN":     "-- Begin certificate chain for www.example.com --\n-- end key rotation --\n",
		"a path":                        "# written to /home/jenkins/workspace/Release42/build/output/certificates/production/server\n",
		"a path as an attribute":        "friendlyName: /opt/IBM/WebSphere/AppServer85/profiles/AppSrv01/config/cells/nodes\n",
		"a resource of Azure":           "# /subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/ProdRG1/providers/Microsoft.KeyVault/vaults/ProdVault01\n# id=/subscriptions/SubA1/resourceGroups/ProductionGroup1/providers/MicrosoftKeyVault\n",
		"a public key of ssh":           "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7vbqajDhA8Yx0mZ1nJmWqPPR1n4f6Gm0cZ0mZ1nJmWqPPR1n4f6Gm0 root@web\n",
		"a long pin":                    "pin-sha512=\"z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==\"\n",
		"a digest in hexadecimal":       "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f\n",
		"a pin":                         "pin-sha256=\"r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=\"\n",
		"pins, one a line":              "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=\nYLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\nC5+lpZ7tcVwmwQIMcRtPbsQtWLABXhQzejna0wHFr8M=\n",
		"digests, one a line":           "cf83e1357eefb8bdf1542850d66d8007\nd620e4050b5715dc83f4a921d36ce9ce\n47d0d13c5d85f2b0ff8318d2877eec2f\n",
		"identifiers, one a line":       "0b1f6471-1bf0-4dda-aec3-cb9272f09590\n3f2504e0-4f89-11d3-9a0c-0305e82c3301\n",
		"words, one a line":             strings.Repeat("Root\nIntermediate2\nLeaf1\n", 20),
		"paths, one a line":             strings.Repeat("# /etc/ssl/certs/Company-Root1.pem\n/opt/IBM/WebSphere/AppServer85/profiles/AppSrv01/config\n", 10),
		"a signature of openssl -text":  "    Signature Value:\n" + strings.Repeat("        30:45:02:21:00:a1:8b:ee:5f:a2:b0:1c:7d:e4:33:00:30:82:\n", 20),
		"a modulus of openssl -modulus": "Modulus=" + strings.Repeat("C3A5F00B7D21E94488", 60) + "\n",
		"rules":                         "-----\n==========\n----------------------------------------\n",
		"Chinese":                       "证书——中间证书\n",
		"a byte order mark":             "\ufeff",
		"a path of Windows":             `C:\new\ssl\r.pem` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, all := range []string{text + sound, sound + text, sound + text + sound} {
				if blocks, err := pemBlocks([]byte(all)); err != nil || len(blocks) == 0 {
					t.Errorf("got %d blocks and %v", len(blocks), err)
				}
			}
		})
	}
}

func TestDamagedBase64IsDescribed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, want string }{
		"a tag":                    {"AA<br>AA", `damaged base64, with "<" in it, in block 2`},
		"a space of no width":      {"AA\u200bAA", "damaged base64, with the character U+200B in it, in block 2"},
		"a byte that is no UTF-8":  {"AA\xffAA", "damaged base64, with the character U+FFFD in it, in block 2"},
		"two texts":                {"AAA=\nAAAA", "damaged base64, which goes on behind its padding, in block 2"},
		"a character too few":      {"AAA", "damaged base64, with characters missing, in block 2"},
		"nothing":                  {"\n", "damaged base64, with nothing in it, in block 2"},
		"padding and nothing else": {"====", "damaged base64, with nothing in it, in block 2"},
		"a comment":                {"AAAA # leaf", `damaged base64, with "#" in it, in block 2`},
	} {
		_, err := pemBlocks([]byte("-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN A-----\n" + tc.body + "\n-----END A-----"))
		if !errors.Is(err, errBadBase64) || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
}

func TestEscapesAreUndone(t *testing.T) {
	t.Parallel()
	for name, escaped := range map[string]string{
		"line ends":            `-----BEGIN A-----\nA+/A\n-----END A-----\n`,
		"line ends of Windows": `-----BEGIN A-----\r\nA+/A\r\n-----END A-----\r\n`,
		"escaped twice":        `-----BEGIN A-----\\r\\nA+/A\\r\\n-----END A-----`,
		"escaped three times":  `"-----BEGIN A-----\\\\nA+/A\\\\n-----END A-----"`,
		"real ones as well":    "-----BEGIN A-----\\n\nA+/A\n-----END A-----",
		"slashes of PHP":       `-----BEGIN A-----\nA+\/A\n-----END A-----`,
		"numbers of C":         `-----BEGIN A-----\x0aA+\x2fA\x0d\x0a-----END A-----`,
		"octal numbers":        `-----BEGIN A-----\012A\053/A\015\012-----END A-----\012`,
		"numbers in braces":    `-----BEGIN A-----\u{a}A\x{2B}/A\u{00000a}-----END A-----`,
		"long numbers":         `-----BEGIN A-----\U0000000aA+/A\U0000000A-----END A-----`,
		"signs of a shell":     `\-\-\-\-\-BEGIN\ A\-\-\-\-\-\nA\+\/A\n-----END A-----`,
		"ends of lines":        "-----BEGIN A-----\\\nA+\\\r\n/A\\\n-----END A-----",
		"URLs":                 `-----BEGIN%20A-----%0AA%2B%2FA%0D%0a-----END%20A-----`,
		"URLs, all of it":      `%2D%2D%2D%2D%2DBEGIN%20A%2D%2D%2D%2D%2D%0AA%2B%2FA%0A-----END A-----`,
		"URLs, twice":          `-----BEGIN%2520A-----%250AA%252B%252FA%250A-----END A-----`,
		"HTML":                 `&#45;&#x2d;&#45;&#45;&#45;BEGIN A-----&#10;A&plus;&sol;A&#13;&#10;-----END A-----`,
		"numbers of JSON":      `-----BEGIN A-----\u000aA\u002b\/A\u000d\u000a-----END A-----`,
	} {
		blocks, err := pemBlocks([]byte(escaped))
		if err != nil || len(blocks) != 1 || string(blocks[0].der) != "\x03\xef\xc0" {
			t.Errorf("%s: got %d blocks and %v", name, len(blocks), err)
		}
	}
}

func TestUTF16IsSeenWhereverItStands(t *testing.T) {
	t.Parallel()
	const text = "-----BEGIN A-----\nAAAA\n-----END A-----\n"
	little, big, wide := "", "", ""
	for _, r := range text {
		little, big, wide = little+string(r)+"\x00", big+"\x00"+string(r), wide+string(r)+"\x00\x00\x00"
	}
	for name, tc := range map[string]struct {
		value string
		want  bool
	}{
		"little endian":             {little, true},
		"little endian with a mark": {"\xff\xfe" + little, true},
		"big endian":                {big, true},
		"big endian with a mark":    {"\xfe\xff" + big, true},
		"UTF-32":                    {wide, true},
		"UTF-32 with a mark":        {"\xff\xfe\x00\x00" + wide, true},
		"appended":                  {text + little, true},
		"appended, big endian":      {text + big, true},
		"put before":                {little + text, true},
		"NULs at the end":           {text + "\x00\x00\x00\x00\x00\x00", false},
		"a NUL between two texts":   {text + "\x00" + text, false},
		"NULs around one line end":  {text + "\x00\n\x00" + text, false},
		"UTF-8":                     {"\ufeff" + text, false},
		"DER":                       {"\x30\x82\x00\x00", false},
		"a Java keystore":           {"\xfe\xed\xfe\xed\x00\x00\x00\x02", false},
	} {
		if got := isUTF16([]byte(tc.value)); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestNULsAroundATextAreDropped has what programs in C leave at the end of a buffer.
func TestNULsAroundATextAreDropped(t *testing.T) {
	t.Parallel()
	sound := at.Simple()(t)
	for name, tc := range map[string]struct {
		before, after string
		want          string // in the message; empty: accepted
	}{
		"one at the end":            {"", "\x00", ""},
		"many at the end":           {"", strings.Repeat("\x00", 100), ""},
		"before the last line end":  {"", "\x00\n", ""},
		"at both ends":              {"\x00\x00", "\x00", ""},
		"and a comment behind them": {"", "\x00comment", "NUL bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := data{}
			for key, value := range sound {
				d[key] = []byte(tc.before + string(value) + tc.after)
			}
			b, err := load(d)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "UTF-16") {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil || b.Hash != hashOf(t, sound) {
				t.Errorf("another hash, or %v", err)
			}
		})
	}
}

func TestHeadersWithinABlockAreDropped(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"one":                                 "Comment: x\n\nAAAA\nBBBB\n",
		"one without a blank line":            "Comment: x\nAAAA\nBBBB\n",
		"without, and a blank line in base64": "Comment: x\nAAAA\n\nBBBB\n",
		"a folded one":                        "Comment: x\n of many words\n\nAAAA\nBBBB\n",
		"a folded one that looks like base64": "Comment: x\r\n\tCCCC\r\n\tDDDD\r\n\r\nAAAA\r\nBBBB\r\n",
		"a folded one and another":            "Comment: x\n CCCC\nSubject: y\n\nAAAA\nBBBB\n",
		"a folded one in an indented block":   "  Comment: x\n    CCCC\n\n  AAAA\n  BBBB\n  ",
		"one in an indented block":            "  Comment: x\n  AAAA\n\n  BBBB\n  ",
		"base64 indented deeper than it":      "Comment: x\n  AAAA\n  BBBB\n\n",
	} {
		b, err := decodeBlock("A", body)
		if err != nil || string(b.der) != "\x00\x00\x00\x04\x10\x41" {
			t.Errorf("%s: got %x and %v", name, b.der, err)
		}
	}
}
