// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// simContent is one certificate that a Secret may hold.
type simContent struct {
	data    map[string][]byte
	content string // as in the name; empty for what cannot be uploaded
}

var simPool struct {
	once sync.Once
	all  []simContent
}

// simContents are certificates made once, in the first bubble: all bubbles begin at the
// same time.
func simContents(t testing.TB) []simContent {
	simPool.once.Do(func() {
		ca, err := testbed.NewCA("Simulated CA")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			pair, err := ca.Issue(10*365*24*time.Hour, nil, fmt.Sprintf("s%d.example.com", i%2), "example.com")
			if err != nil {
				t.Fatal(err)
			}
			simPool.all = append(simPool.all, newSimContent(t, pair.Certificate, pair.PrivateKey))
		}
		simPool.all = append(simPool.all, simContent{data: map[string][]byte{
			"tls.crt": simPool.all[0].data["tls.crt"], "tls.key": simPool.all[1].data["tls.key"],
		}})
	})
	return simPool.all
}

func newSimContent(t testing.TB, certificate, key []byte) simContent {
	api := newSimAPI()
	name := types.NamespacedName{Namespace: "a", Name: "b"}
	api.putSecret(name, map[string][]byte{"tls.crt": certificate, "tls.key": key})
	content, err := bundle.Load(api.secrets[name], bundle.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return simContent{data: api.secrets[name].Data, content: content.Hash.Content()}
}
