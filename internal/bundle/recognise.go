// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

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
func recognise(value []byte) finding {
	u := undress(value)
	encoded := len(u.layers) > 0
	container, isContainer := recogniseContainer(u.core)
	switch {
	case holdsPEM(u.core):
		return finding{"is base64 of PEM: it was encoded twice", "encode it once, or use stringData"}
	case isContainer && encoded:
		return finding{container.problem + " in base64, not PEM", "decode it with base64 -d; " + container.fix}
	case isContainer:
		return finding{container.problem + ", not PEM", container.fix}
	case isDER(u.core) && encoded:
		return finding{"is base64 without its PEM lines", "add the -----BEGIN and -----END lines"}
	case isDER(u.core):
		return finding{"is DER, not PEM", "convert it with openssl x509 -inform der (a key: openssl pkey -inform der)"}
	}
	return finding{"holds no PEM block", fixPEM}
}
