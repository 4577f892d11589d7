// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"slices"
	"strings"
)

// finding is a recognised mistake: what it is, and how to mend it.
type finding struct{ problem, fix string }

var findingEnveloped = finding{"is an enveloped SM2 key", "only the encryption key of type SM may be enveloped"}

const (
	fixPEM       = "store PEM, beginning with -----BEGIN"
	fixPKCS12    = "convert it with openssl pkcs12 -nodes and store certificate and key as PEM; a cert-manager keystore belongs to another key of the Secret"
	fixPKCS7     = "convert it with openssl pkcs7 -print_certs"
	fixEncrypted = "decrypt it with openssl pkey -in FILE -out plain.key"
)

// recognise explains a value in which no PEM block was found.
func (l *loader) recognise(value []byte) finding {
	u, ok := undress(value)
	if !ok {
		return finding{"holds no PEM block", fixPEM}
	}
	if holdsPEM(u.core) {
		return u.explainPEM()
	}
	if found, ok := l.recogniseBinary(u.core); ok {
		return finding{found.problem + u.under() + ", not PEM", u.decode() + found.fix}
	}
	if slices.Equal(u.layers, []string{"base64"}) {
		return finding{"is base64 without its PEM lines", "add the -----BEGIN and -----END lines"}
	}
	return finding{"is DER" + u.under() + ", not PEM", u.decode() + "convert it with openssl x509 -inform der (a key: openssl pkey -inform der)"}
}

// recogniseBinary names binary data that no conversion to PEM would help: containers,
// and keys that no parser here opens.
func (l *loader) recogniseBinary(core []byte) (finding, bool) {
	if found, ok := recogniseContainer(core); ok {
		return found, true
	}
	if _, isCertificate := outlineOf(core); isCertificate || len(core) > maxKeyBytes {
		return finding{}, false
	}
	if found, ok := l.explainKey(block{der: core}); ok {
		return found, true
	}
	_, _, isKey := structureOf(core)
	if _, canBeRead := parseSigner(core); canBeRead || !isKey {
		return finding{}, false
	}
	return l.explainUnreadable(core), true
}

// explainPEM says how often PEM was encoded.
func (u undressed) explainPEM() finding {
	const once = "encode it once, or use stringData"
	layers := strings.Join(u.layers, " of ")
	switch {
	case slices.Contains(u.layers, "UTF-16"):
		return finding{"is " + layers + " of PEM", "save it as UTF-8, and " + once}
	case slices.ContainsFunc(u.layers, func(layer string) bool { return layer != "base64" }):
		return finding{"is " + layers + " of PEM", "store the PEM itself, and " + once}
	}
	times := []string{"twice", "three times", "four times", "five times"}[len(u.layers)-1]
	return finding{"is " + layers + " of PEM: it was encoded " + times, once}
}

// under names the encodings around binary data.
func (u undressed) under() string {
	if len(u.layers) == 0 {
		return ""
	}
	return " in " + strings.Join(u.layers, " of ")
}

// decode says how to take them off.
func (u undressed) decode() string {
	switch {
	case len(u.layers) == 0:
		return ""
	case slices.Equal(u.layers, []string{"base64"}):
		return "decode it with base64 -d; "
	}
	return "decode it; "
}
