// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// cnameConfiguration is what a PutCname asks for.
type cnameConfiguration struct {
	domain string
	// certificate is nil where nothing is asked about it.
	certificate certificateConfiguration
}

// certificateConfiguration is its part about the certificate, by the names of its elements.
type certificateConfiguration map[string]string

// is reports whether a switch is on. The examples of the documentation write True as well as true.
func (c certificateConfiguration) is(name string) bool { return strings.EqualFold(c[name], "true") }

// node is an element of XML with everything in it, so that nothing goes unnoticed.
type node struct {
	XMLName    xml.Name
	Attributes []xml.Attr `xml:",any,attr"`
	Text       string     `xml:",chardata"`
	Children   []node     `xml:",any"`
}

// parse reads a document that is one element and nothing else.
func parse(document string) (node, bool) {
	var root node
	decoder := xml.NewDecoder(strings.NewReader(document))
	if decoder.Decode(&root) != nil {
		return node{}, false
	}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return root, true
		}
		if text, ok := token.(xml.CharData); err != nil || !ok || strings.TrimSpace(string(text)) != "" {
			return node{}, false
		}
	}
}

// children returns the elements within one, if they are among the names and none is there twice.
func (n node) children(names ...string) (map[string]node, bool) {
	found := map[string]node{}
	for _, child := range n.Children {
		name := child.XMLName.Local
		if _, twice := found[name]; twice || child.XMLName.Space != "" || !slices.Contains(names, name) {
			return nil, false
		}
		found[name] = child
	}
	return found, len(n.Attributes) == 0 && strings.TrimSpace(n.Text) == ""
}

// leaf returns the text of an element without others in it.
func (n node) leaf() (string, bool) {
	return strings.TrimSpace(n.Text), len(n.Attributes) == 0 && len(n.Children) == 0
}

// certificateElements are those that the interface has (T110).
var certificateElements = []string{"CertId", "Certificate", "PrivateKey", "PreviousCertId", "Force", "DeleteCertificate"}

func malformed() *emulator.Refusal {
	return emulator.Refuse("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
}

// hostPattern is what a domain of OSS can be, which is no wildcard (T124).
var hostPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$`)

// readCname reads the body of a PutCname. OSS may take elements that it does not know; here they are
// refused, so that a misspelt one does not go unnoticed.
func readCname(body string) (cnameConfiguration, *emulator.Refusal) {
	root, ok := parse(body)
	if !ok || root.XMLName.Local != "BucketCnameConfiguration" || root.XMLName.Space != "" {
		return cnameConfiguration{}, malformed()
	}
	within, ok := root.children("Cname")
	if !ok {
		return cnameConfiguration{}, malformed()
	}
	parts, ok := within["Cname"].children("Domain", "CertificateConfiguration")
	if !ok {
		return cnameConfiguration{}, malformed()
	}
	domain, ok := parts["Domain"].leaf()
	if !ok || domain == "" {
		return cnameConfiguration{}, malformed()
	}
	asked := cnameConfiguration{domain: strings.ToLower(domain)}
	if !hostPattern.MatchString(asked.domain) {
		refusal := emulator.Refuse("InvalidArgument", "The cname is invalid.")
		refusal.EC = "0018-00000401"
		return cnameConfiguration{}, refusal
	}
	configuration, ok := parts["CertificateConfiguration"]
	if !ok {
		return asked, nil
	}
	certificate, refused := readCertificate(configuration)
	asked.certificate = certificate
	return asked, refused
}

// readCertificate reads the part about the certificate. What cannot be asked for together is
// malformed: of Force with DeleteCertificate that was seen (T117), of the others it is a guess.
func readCertificate(n node) (certificateConfiguration, *emulator.Refusal) {
	elements, ok := n.children(certificateElements...)
	if !ok {
		return nil, malformed()
	}
	asked := certificateConfiguration{}
	for name, element := range elements {
		if asked[name], ok = element.leaf(); !ok {
			return nil, malformed()
		}
	}
	for _, name := range []string{"Force", "DeleteCertificate"} {
		if value, ok := asked[name]; ok && !asked.is(name) && !strings.EqualFold(value, "false") {
			return nil, malformed()
		}
	}
	switch deletes := asked.is("DeleteCertificate"); {
	case asked["Certificate"] != "" || asked["PrivateKey"] != "":
		return nil, &emulator.Refusal{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "Certificates are taken from CAS alone here."}
	case deletes && (asked.is("Force") || asked["CertId"] != ""), !deletes && asked["CertId"] == "":
		return nil, malformed()
	}
	return asked, nil
}
