// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// secretContent is one certificate that a Secret may hold.
type secretContent struct {
	data    map[string][]byte
	content string // as in the name; empty for what cannot be uploaded
	// keyLines are lines of the private key as the Secret and as calls have it, which tell it from others.
	keyLines []string
}

// contents are what the Secrets and the neighbours of a world may hold.
type contents struct {
	all        []secretContent
	neighbours [][]byte // certificates of somebody else
}

var pool struct {
	once sync.Once
	contents
}

// secretContents are certificates made once, in the first bubble: all bubbles begin at the
// same time.
func secretContents(t testing.TB) []secretContent {
	pool.once.Do(func() { pool.contents = makeContents(t) })
	return pool.all
}

// makeContents makes the same contents in every run: names are made of them, and what comes first among
// names decides what a schedule goes through.
func makeContents(t testing.TB) (made contents) {
	ca, err := testbed.NewSeededCA("Simulated CA", 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		pair, err := ca.Issue(10*365*24*time.Hour, nil, fmt.Sprintf("s%d.example.com", i%2), "example.com")
		if err != nil {
			t.Fatal(err)
		}
		made.all = append(made.all, newSecretContent(t, pair.Certificate, pair.PrivateKey))
	}
	for _, hosts := range [][]string{{theirHost}, {theirHost, "shop.example.org"}, {theirHost, ourHost}} {
		pair, err := ca.Issue(10*365*24*time.Hour, nil, hosts...)
		if err != nil {
			t.Fatal(err)
		}
		made.neighbours = append(made.neighbours, pair.Certificate)
	}
	made.all = append(made.all, secretContent{data: map[string][]byte{
		"tls.crt": made.all[0].data["tls.crt"], "tls.key": made.all[1].data["tls.key"],
	}})
	return made
}

func newSecretContent(t testing.TB, certificate, key []byte) secretContent {
	api := newAPIServer()
	name := types.NamespacedName{Namespace: "a", Name: "b"}
	api.putSecret(name, map[string][]byte{"tls.crt": certificate, "tls.key": key})
	content, err := bundle.Load(api.secrets[name], bundle.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	made := secretContent{data: api.secrets[name].Data, content: content.Hash.Content()}
	for _, form := range []string{string(key), content.Material.PrivateKey} {
		made.keyLines = append(made.keyLines, strings.Split(form, "\n")[1:3]...)
	}
	return made
}

// neighbourContents are certificates that nobody of ours has a key for. The last one is for a host
// of ours, too.
func neighbourContents(t testing.TB) [][]byte {
	secretContents(t)
	return pool.neighbours
}
