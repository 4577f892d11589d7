// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vectors are the golden vectors of testdata/vectors.json. They were computed
// from the description of the formats by a program that shares no code with this
// package. FROZEN: no release may change one.
type vectors struct {
	Contents []struct {
		Name, Hash, Content string
		Type                Type
		Chains              [][]string
	}
	Identities []struct{ ClusterID, Namespace, Name, Identity string }
	Names      []struct{ Prefix, Identity, Content, Name string }
	Bundles    []struct {
		Name, Hash string
		Type       Type
		// Certificates maps keys of the Secret to files, Keys to seeds.
		Certificates, Keys map[string]string
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Contents) == 0 || len(v.Identities) == 0 || len(v.Names) == 0 {
		t.Fatal("testdata/vectors.json lacks vectors")
	}
	return v
}

func TestGoldenVectors(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for _, c := range v.Contents {
		var chains [][]*certificate
		for _, ders := range c.Chains {
			var chain []*certificate
			for _, der := range ders {
				raw, err := hex.DecodeString(der)
				if err != nil {
					t.Fatal(err)
				}
				chain = append(chain, &certificate{Certificate: &x509.Certificate{Raw: raw}})
			}
			chains = append(chains, chain)
		}
		h := contentHash(c.Type, chains...)
		if h.String() != c.Hash || h.Content() != c.Content {
			t.Errorf("%s: got %s and %s, want %s and %s", c.Name, h, h.Content(), c.Hash, c.Content)
		}
	}
	for _, i := range v.Identities {
		if got := Identity(i.ClusterID, i.Namespace, i.Name); got != i.Identity {
			t.Errorf("identity of %s/%s in %s: got %s, want %s", i.Namespace, i.Name, i.ClusterID, got, i.Identity)
		}
	}
	for _, n := range v.Names {
		if got := Name(n.Prefix, n.Identity, n.Content); got != n.Name {
			t.Errorf("name: got %s, want %s", got, n.Name)
		}
	}
}

func TestDefaultPrefix(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ namespace, object, want string }{
		"short names stand as they are":                  {"shop", "web", "shop_web"},
		"dots and dashes become underscores":             {"shop-1", "www.example.com", "shop_1_www_example_com"},
		"a long namespace gives way to the name":         {strings.Repeat("n", 40), "web", strings.Repeat("n", 28) + "_web"},
		"a long name gives way to the namespace":         {"shop", strings.Repeat("o", 253), "shop_" + strings.Repeat("o", 27)},
		"two long names share the room":                  {strings.Repeat("n", 63), strings.Repeat("o", 253), strings.Repeat("n", 15) + "_" + strings.Repeat("o", 16)},
		"exactly what fits is not cut":                   {strings.Repeat("n", 15), strings.Repeat("o", 16), strings.Repeat("n", 15) + "_" + strings.Repeat("o", 16)},
		"characters that the API refuses do not get out": {"lädé", "网站", "l_d____"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := DefaultPrefix(tc.namespace, tc.object); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	const id, content = "0123456789abcdef", "ghijklmnopqrs"
	for name, tc := range map[string]struct {
		name string
		ok   bool
	}{
		"our own name":                       {"shop_web_" + id + "_" + content, true},
		"a name in upper case":               {strings.ToUpper("shop_web_" + id + "_" + content), true},
		"a prefix that looks like the tail":  {id + "_" + content + "_" + id + "_" + content, true},
		"a prefix of one character":          {"x_" + id + "_" + content, true},
		"a prefix given by somebody else":    {"网-站_" + id + "_" + content, true},
		"no prefix":                          {"_" + id + "_" + content, false},
		"nothing but the fields":             {id + "_" + content, false},
		"a field too short":                  {"web_" + id[1:] + "_" + content, false},
		"a field too long":                   {"web_" + id + "_" + content + "0", false},
		"a letter outside of base32hex":      {"web_" + id + "_w" + content[1:], false},
		"a Kelvin sign, three bytes for a k": {"web_" + id + "_\u212a" + content[3:], false},
		"another separator":                  {"web-" + id + "-" + content, false},
		"an empty name":                      {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gotID, gotContent, ok := ParseName(tc.name)
			if ok != tc.ok || ok && (gotID != id || gotContent != content) || !ok && gotID+gotContent != "" {
				t.Errorf("got %q, %q, %t", gotID, gotContent, ok)
			}
		})
	}
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9_]{1,32}_[0-9a-v]{16}_[0-9a-v]{13}$`)

// checkName holds what is true of every name, whatever it is made of.
func checkName(t *testing.T, prefix, cluster, namespace, object string, h Hash) {
	t.Helper()
	id := Identity(cluster, namespace, object)
	for _, p := range []string{prefix, DefaultPrefix(namespace, object)} {
		name := Name(p, id, h.Content())
		if len(name) > 63 || !nameShape.MatchString(name) {
			t.Fatalf("name %q does not fit CAS", name)
		}
		for _, spelling := range []string{name, strings.ToUpper(name)} {
			gotID, gotContent, ok := ParseName(spelling)
			if diff := cmp.Diff([]any{id, h.Content(), true}, []any{gotID, gotContent, ok}); diff != "" {
				t.Fatalf("name %q does not parse back:\n%s", spelling, diff)
			}
		}
	}
}

func TestNamesFitWhateverTheyAreMadeOf(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "abcxyzABC0189.-_ é网\x00\xff"
	text := func(limit int) string {
		b := make([]byte, random.IntN(limit+1))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	seen := map[string]string{}
	for range 5000 {
		namespace, object := text(63), text(253)
		var h Hash
		for i := range h {
			h[i] = byte(random.Uint32())
		}
		checkName(t, text(64), "cluster", namespace, object, h)
		id, key := Identity("cluster", namespace, object), namespace+"\x01"+object
		if other, ok := seen[id]; ok && other != key {
			t.Fatalf("%q and %q share the identity %s", key, other, id)
		}
		seen[id] = key
	}
}

func TestIdentityKeepsFieldsApart(t *testing.T) {
	t.Parallel()
	seen := map[string][3]string{}
	for _, f := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "abc", ""}, {"a", "", "bc"}, {"", "", "abc"}, {"b", "a", "c"}, {"a", "c", "b"}} {
		id := Identity(f[0], f[1], f[2])
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q share an identity", f, other)
		}
		seen[id] = f
	}
}

func FuzzName(f *testing.F) {
	f.Add("shop_web", "c", "shop", "web-tls", []byte{1})
	f.Add("", "", "", "", []byte{})
	f.Add("网站", "x", strings.Repeat("n", 63), strings.Repeat("o.", 126), []byte{255, 255})
	f.Fuzz(func(t *testing.T, prefix, cluster, namespace, object string, hash []byte) {
		var h Hash
		copy(h[:], hash)
		checkName(t, prefix, cluster, namespace, object, h)
		if id, content, ok := ParseName(prefix); ok && !nameShape.MatchString("x_"+id+"_"+content) {
			t.Fatalf("ParseName(%q) returns %q and %q", prefix, id, content)
		}
	})
}

func TestNumberedPrefixesFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40)
	for _, tc := range []struct {
		prefix string
		n      int
		want   string
	}{
		{"shop", 1, "shop"}, {"shop", 2, "shop_2"}, {"shop", 9, "shop_9"}, {"", 2, "cert_2"},
		{long, 1, long[:32]}, {long, 3, long[:30] + "_3"}, {"a-b", 2, "a_b_2"},
	} {
		if got := NumberedPrefix(tc.prefix, tc.n); got != tc.want {
			t.Errorf("the prefix %d of %q is %q, want %q", tc.n, tc.prefix, got, tc.want)
		}
	}
}

func TestLowerFields(t *testing.T) {
	t.Parallel()
	const fields = "_ABCDEFGHIJKLMNOP_0123456789ABC"
	for name, want := range map[string]string{
		"Shop" + fields:                  "Shop" + strings.ToLower(fields),
		strings.Repeat("P", 40) + fields: strings.Repeat("P", 40) + strings.ToLower(fields),
		"another":                        "another",
	} {
		if got := LowerFields(name); got != want {
			t.Errorf("%s became %s, want %s", name, got, want)
		}
	}
}
