// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"bytes"
	"crypto/x509"
	"testing"
)

// toolsSection is what the tools that people use write, made here as they do it.
func (at Clock) toolsSection() Section {
	custom := Keys{Certificate: "fullchain.pem", PrivateKey: "privkey.pem"}
	return Section{"What tools write", []Row{
		{Shape: "cert-manager, ACME", Want: Accepted, Note: "leaf and intermediates", Data: func(tb testing.TB) Data {
			key := RSAKey(tb, 2048)
			h := at.Hierarchy(tb, key, func(c *x509.Certificate) {
				c.KeyUsage |= x509.KeyUsageKeyEncipherment
				c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
			})
			return TLSData(CertPEM(h.Leaf, h.Inter), BlockPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
		}},
		{Shape: "cert-manager, CA issuer, with `ca.crt`", Want: Accepted, Note: "leaf", Data: func(tb testing.TB) Data {
			root := Issue(tb, at.CA("Company CA"), P256(tb), nil)
			leaf := Issue(tb, at.Template("www.example.com", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), P256(tb), root)
			d := TLSData(CertPEM(leaf), SEC1PEM(tb, leaf.Key))
			d["ca.crt"] = CertPEM(root)
			return d
		}},
		{Shape: "cert-manager, self-signed", Want: Accepted, Note: "leaf", Data: func(tb testing.TB) Data {
			leaf := Issue(tb, at.Template("www.example.com"), P256(tb), nil)
			d := TLSData(CertPEM(leaf), SEC1PEM(tb, leaf.Key))
			d["ca.crt"] = CertPEM(leaf)
			return d
		}},
		{Shape: "cert-manager, Vault issuer", Want: Accepted, Note: "leaf and intermediates", Data: func(tb testing.TB) Data {
			key := RSAKey(tb, 2048)
			h := at.Hierarchy(tb, key)
			d := TLSData(CertPEM(h.Leaf, h.Inter), PKCS8PEM(tb, key))
			d["ca.crt"] = CertPEM(h.Root)
			return d
		}},
		{Shape: "cert-manager, `additionalOutputFormats` and keystores", Want: Accepted, Note: "`tls.crt` only", Data: func(tb testing.TB) Data {
			d := at.Simple()(tb)
			d["tls-combined.pem"] = append(bytes.Clone(d["tls.key"]), d["tls.crt"]...)
			d["key.der"], d["keystore.p12"], d["truststore.jks"] = DEROf(d["tls.key"]), pkcs12(), []byte{0xfe, 0xed, 0xfe, 0xed}
			return d
		}},
		{Shape: "`kubectl create secret tls` with a chain that ends in its root", Want: Accepted, Note: "leaf and intermediates", Data: func(tb testing.TB) Data {
			h := at.Hierarchy(tb, P256(tb))
			return TLSData(CertPEM(h.Leaf, h.Inter, h.Root), SEC1PEM(tb, h.Leaf.Key))
		}},
		{Shape: "`openssl req -x509 -newkey rsa:2048`", Want: Warned, Data: func(tb testing.TB) Data {
			key := RSAKey(tb, 2048)
			leaf := Issue(tb, at.Template("www.example.com", func(c *x509.Certificate) {
				c.IsCA, c.DNSNames, c.KeyUsage, c.ExtKeyUsage = true, nil, 0, nil
			}), key, nil)
			return TLSData(CertPEM(leaf), PKCS8PEM(tb, key))
		}},
		{Shape: "`openssl x509 -text` and `openssl ecparam -genkey`", Want: Accepted, Note: "without text and parameters", Data: func(tb testing.TB) Data {
			d := at.Simple()(tb)
			parameters := BlockPEM("EC PARAMETERS", MustMarshal(oidP256))
			text := "Certificate:\n    Data:\n        Version: 3 (0x2)\n        Serial Number: 4097 (0x1001)\n"
			return TLSData(append([]byte(text), d["tls.crt"]...), append(parameters, d["tls.key"]...))
		}},
		{Shape: "certbot (`fullchain.pem`, `privkey.pem`)", Want: Accepted, Note: "leaf and intermediates", Keys: custom, Data: func(tb testing.TB) Data {
			h := at.Hierarchy(tb, P256(tb))
			blankLine := append(CertPEM(h.Leaf), append([]byte("\n"), CertPEM(h.Inter)...)...)
			return Data{"fullchain.pem": blankLine, "privkey.pem": PKCS8PEM(tb, h.Leaf.Key), "cert.pem": CertPEM(h.Leaf), "chain.pem": CertPEM(h.Inter)}
		}},
		{Shape: "acme.sh (`fullchain.cer`, CRLF)", Want: Accepted, Note: "leaf and intermediates", Keys: Keys{Certificate: "fullchain.cer", PrivateKey: "www.example.com.key"}, Data: func(tb testing.TB) Data {
			h := at.Hierarchy(tb, P256(tb))
			return Data{"fullchain.cer": replaceAll("\n", "\r\n")(append(CertPEM(h.Leaf, h.Inter), '\n')), "www.example.com.key": SEC1PEM(tb, h.Leaf.Key)}
		}},
	}}
}
