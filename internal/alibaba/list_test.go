// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// thingsAnswer is an answer with a list that is made up.
type thingsAnswer struct {
	TotalCount Text
	taken      []string
}

func (a *thingsAnswer) List() string      { return "Things" }
func (a *thingsAnswer) Take(entry []byte) { a.taken = append(a.taken, string(entry)) }

// endless is a text that begins with head and goes on with piece for ever.
type endless struct {
	head, piece string
	read        int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		text := e.head
		if e.read >= len(e.head) {
			text = e.piece[(e.read-len(e.head))%len(e.piece):]
		} else {
			text = text[e.read:]
		}
		copied := copy(p[n:], text)
		n, e.read = n+copied, e.read+copied
	}
	return n, nil
}

// What an answer may cost, in bytes: an entry of the longest kind, the buffers that grew until
// they could hold it, and a copy.
const mostAllocated = 6 << 20

// It does not run in parallel: what is allocated is counted for the whole process.
func TestAnswersWithoutAnEndCostLittle(t *testing.T) {
	send := func(t *testing.T, body io.Reader, listed bool) *Error {
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body)}, nil
		})
		call := testCall()
		call.Endpoint = "http://127.0.0.1:1"
		var failure *Error
		if listed {
			_, failure = Send[thingsAnswer](t.Context(), client.identity, testCredentials(), call)
		} else {
			_, failure = Send[testAnswer](t.Context(), client.identity, testCredentials(), call)
		}
		return failure
	}
	for name, body := range map[string]*endless{
		"empty entries":        {head: `{"TotalCount":1,"Things":[{}`, piece: `,{}`},
		"entries":              {head: `{"TotalCount":1,"Things":[{"Id":1}`, piece: `,{"Id":1,"Name":"a"}`},
		"an entry's fields":    {head: `{"Things":[{"Id":1`, piece: `,"Id":1`},
		"a text in an entry":   {head: `{"Things":[{"Id":"`, piece: `a`},
		"numbers in the list":  {head: `{"Things":[1`, piece: `,1`},
		"lists":                {head: `{"Things":[]`, piece: `,"Things":[1]`},
		"empty lists":          {head: `{"Things":[]`, piece: `,"Things":[]`},
		"fields":               {head: `{"a":1`, piece: `,"b":2`},
		"empty fields":         {head: `{"":1`, piece: `,"":2`},
		"a name of a field":    {head: `{"`, piece: `a`},
		"a text of a field":    {head: `{"Code":"`, piece: `a`},
		"depth":                {head: ``, piece: `[`},
		"depth in a field":     {head: `{"Code":`, piece: `{"a":`},
		"depth in an entry":    {head: `{"Things":[`, piece: `[`},
		"space before":         {head: ``, piece: ` `},
		"space within":         {head: `{"Things":[1`, piece: "\n"},
		"space after":          {head: `{"Things":[]}`, piece: ` `},
		"a number":             {head: `{"Things":[1`, piece: `1`},
		"text that is no JSON": {head: `<html>`, piece: `<p>`},
	} {
		for kind, listed := range map[string]bool{"as a list": true, "as another answer": false} {
			t.Run(name+" "+kind, func(t *testing.T) {
				answer := *body
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				failure := send(t, &answer, listed)
				runtime.ReadMemStats(&after)
				if failure == nil || failure.Class != Transient || !failure.MayHaveHappened || failure.HTTPStatus != 200 {
					t.Errorf("got %+v", failure)
				}
				if cost := after.TotalAlloc - before.TotalAlloc; cost > mostAllocated {
					t.Errorf("%d bytes of an answer cost %d", answer.read, cost)
				}
				if most := maxList + 1; answer.read > most {
					t.Errorf("%d bytes were read", answer.read)
				}
			})
		}
	}
}

func TestAListIsTakenEntryByEntry(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", maxEntry-2)
	for name, tc := range map[string]struct {
		body    string
		entries int // negative: it is no answer
	}{
		"no list":                     {`{"TotalCount":0}`, 0},
		"a list that is null":         {`{"Things":null}`, 0},
		"an empty list":               {`{"Things":[]}`, 0},
		"another case of the name":    {`{"things":[1,2]}`, 2},
		"entries of any kind":         {`{"Things":[{"a":{"b":[1]}},"x",null,[],1.5]}`, 5},
		"as many as are taken":        {`{"Things":[` + strings.Repeat("1,", maxEntries-1) + `1]}`, maxEntries},
		"one more":                    {`{"Things":[` + strings.Repeat("1,", maxEntries) + `1]}`, -1},
		"an entry of the longest":     {`{"Things":["` + long + `"]}`, 1},
		"an entry that is too long":   {`{"Things":["` + long + `aa"]}`, -1},
		"eight of the longest":        {`{"Things":["` + strings.Repeat(long+`","`, 7) + long[:maxEntry-100] + `"]}`, 8},
		"nine of the longest":         {`{"Things":["` + strings.Repeat(long+`","`, 8) + `"]}`, -1},
		"a list that is an object":    {`{"Things":{}}`, -1},
		"a list that is a text":       {`{"Things":"a"}`, -1},
		"an answer that is cut off":   {`{"Things":[1`, -1},
		"something after the answer":  {`{"Things":[1]}{}`, -1},
		"an answer that is no object": {`[1]`, -1},
		"nothing":                     {``, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := &thingsAnswer{}
			head, err := readList(strings.NewReader(tc.body), answer)
			if isAnswer := err == nil && head != nil; isAnswer != (tc.entries >= 0) {
				t.Fatalf("got %q, %v", head, err)
			}
			if tc.entries >= 0 && len(answer.taken) != tc.entries {
				t.Errorf("%d entries", len(answer.taken))
			}
		})
	}
}

func TestABrokenConnectionIsNoShortList(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	body := io.MultiReader(strings.NewReader(`{"Things":[1]`), &failing{broken})
	if head, err := readList(body, &thingsAnswer{}); !errors.Is(err, broken) {
		t.Errorf("got %q, %v", head, err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
