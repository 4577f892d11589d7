// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"testing"
)

// realShapes is what the tools that people use write, made here as they do it.
func realShapes() []section {
	custom := Keys{Certificate: "fullchain.pem", PrivateKey: "privkey.pem"}
	return []section{{"What tools write", []row{
		{shape: "cert-manager, ACME", want: accepted, note: "leaf and intermediates", data: func(tb testing.TB) data {
			key := rsaKey(tb, 2048)
			h := newHierarchy(tb, key, func(c *x509.Certificate) {
				c.KeyUsage |= x509.KeyUsageKeyEncipherment
				c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
			})
			return tlsData(certPEM(h.leaf, h.inter), blockPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
		}},
		{shape: "cert-manager, CA issuer, with `ca.crt`", want: accepted, note: "leaf", data: func(tb testing.TB) data {
			root := issue(tb, authority("Company CA"), p256(tb), nil)
			leaf := issue(tb, template("www.example.com", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), p256(tb), root)
			d := tlsData(certPEM(leaf), sec1PEM(tb, leaf.key))
			d["ca.crt"] = certPEM(root)
			return d
		}},
		{shape: "cert-manager, self-signed", want: accepted, note: "leaf", data: func(tb testing.TB) data {
			leaf := issue(tb, template("www.example.com"), p256(tb), nil)
			d := tlsData(certPEM(leaf), sec1PEM(tb, leaf.key))
			d["ca.crt"] = certPEM(leaf)
			return d
		}},
		{shape: "cert-manager, Vault issuer", want: accepted, note: "leaf and intermediates", data: func(tb testing.TB) data {
			key := rsaKey(tb, 2048)
			h := newHierarchy(tb, key)
			d := tlsData(certPEM(h.leaf, h.inter), pkcs8PEM(tb, key))
			d["ca.crt"] = certPEM(h.root)
			return d
		}},
		{shape: "cert-manager, `additionalOutputFormats` and keystores", want: accepted, note: "`tls.crt` only", data: func(tb testing.TB) data {
			d := simple()(tb)
			d["tls-combined.pem"] = append(bytes.Clone(d["tls.key"]), d["tls.crt"]...)
			d["key.der"], d["keystore.p12"], d["truststore.jks"] = derOf(d["tls.key"]), pkcs12(), []byte{0xfe, 0xed, 0xfe, 0xed}
			return d
		}},
		{shape: "`kubectl create secret tls` with a chain that ends in its root", want: accepted, note: "leaf and intermediates", data: func(tb testing.TB) data {
			h := newHierarchy(tb, p256(tb))
			return tlsData(certPEM(h.leaf, h.inter, h.root), sec1PEM(tb, h.leaf.key))
		}},
		{shape: "`openssl req -x509 -newkey rsa:2048`", want: warned, data: func(tb testing.TB) data {
			key := rsaKey(tb, 2048)
			leaf := issue(tb, template("www.example.com", func(c *x509.Certificate) {
				c.IsCA, c.DNSNames, c.KeyUsage, c.ExtKeyUsage = true, nil, 0, nil
			}), key, nil)
			return tlsData(certPEM(leaf), pkcs8PEM(tb, key))
		}},
		{shape: "`openssl x509 -text` and `openssl ecparam -genkey`", want: accepted, note: "without text and parameters", data: func(tb testing.TB) data {
			d := simple()(tb)
			parameters := blockPEM("EC PARAMETERS", mustMarshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}))
			text := "Certificate:\n    Data:\n        Version: 3 (0x2)\n        Serial Number: 4097 (0x1001)\n"
			return tlsData(append([]byte(text), d["tls.crt"]...), append(parameters, d["tls.key"]...))
		}},
		{shape: "certbot (`fullchain.pem`, `privkey.pem`)", want: accepted, note: "leaf and intermediates", keys: custom, data: func(tb testing.TB) data {
			h := newHierarchy(tb, p256(tb))
			blankLine := append(certPEM(h.leaf), append([]byte("\n"), certPEM(h.inter)...)...)
			return data{"fullchain.pem": blankLine, "privkey.pem": pkcs8PEM(tb, h.leaf.key), "cert.pem": certPEM(h.leaf), "chain.pem": certPEM(h.inter)}
		}},
		{shape: "acme.sh (`fullchain.cer`, CRLF)", want: accepted, note: "leaf and intermediates", keys: Keys{Certificate: "fullchain.cer", PrivateKey: "www.example.com.key"}, data: func(tb testing.TB) data {
			h := newHierarchy(tb, p256(tb))
			return data{"fullchain.cer": replaceAll("\n", "\r\n")(append(certPEM(h.leaf, h.inter), '\n')), "www.example.com.key": sec1PEM(tb, h.leaf.key)}
		}},
	}}}
}
