// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

const (
	// maxAnswer bounds an answer without a list, and what one has besides its list, in
	// bytes. The longest that is known is some kilobytes.
	maxAnswer = 64 << 10
	// maxXML is that bound for OSS: the hundred domains that a bucket may have take up to 700 bytes
	// each (T124).
	maxXML = 256 << 10
	// maxList bounds an answer with a list, in bytes: 50 certificates of 250 names, each as
	// long as a name can be, are 3 MiB.
	maxList = 8 << 20
	// fieldCost is counted for each field besides its bytes: many small ones take more.
	fieldCost = 100
	// maxEntry bounds an entry of a list, in bytes, and maxEntries their number. Pages are of
	// at most some hundred.
	maxEntry   = 1 << 20
	maxEntries = 1000
)

// Listing is implemented by the pointer to an answer that holds a list. It is never held as a
// whole: its entries are read and taken one by one.
type Listing interface {
	// List names the field of the answer that is the list.
	List() string
	// Take is given the next entry, which can be any JSON. It must not keep the slice, and
	// bounds what it keeps of its fields.
	Take(entry []byte)
}

// errTooLong is for an answer that is longer than any honest one.
var errTooLong = errors.New("the answer is too long")

// maxAnswer bounds the answer to a call that has no list.
func (c Call) maxAnswer() int {
	if c.OSS != nil {
		return maxXML
	}
	return maxAnswer
}

// readAnswer reads an answer without a list.
func readAnswer(r io.Reader, limit int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(body) > limit {
		return nil, errTooLong
	}
	return body, err
}

// readList reads an answer with a list, and returns it without the list; nil if it is not the
// expected JSON.
func readList(r io.Reader, answer Listing) ([]byte, error) {
	source := &allowance{from: r}
	l := &listReader{source: source, decoder: json.NewDecoder(source), answer: answer, head: map[string]json.RawMessage{}, left: maxAnswer}
	err := l.read()
	switch {
	case source.failure != nil:
		return nil, source.failure
	case errors.Is(err, errTooLong):
		return nil, err
	case err != nil:
		return nil, nil //nolint:nilerr // errors of the decoder may quote the answer
	}
	return json.Marshal(l.head)
}

// listReader reads one answer.
type listReader struct {
	source  *allowance
	decoder *json.Decoder
	answer  Listing
	head    map[string]json.RawMessage // the fields but for the list
	left    int                        // how many bytes more of them are taken
	entries int
	value   json.RawMessage // the last one that was read
}

var errUnexpected = errors.New("not the expected JSON")

func (l *listReader) read() error {
	if err := l.expect('{'); err != nil {
		return err
	}
	for l.more() {
		l.allow(l.left)
		token, err := l.decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if l.left -= fieldCost + len(name); l.left < 0 {
			return errTooLong
		}
		if strings.EqualFold(name, l.answer.List()) {
			err = l.readEntries()
		} else {
			err = l.readField(name)
		}
		if err != nil {
			return err
		}
	}
	if err := l.expect('}'); err != nil {
		return err
	}
	if _, err := l.decoder.Token(); !errors.Is(err, io.EOF) {
		return errUnexpected
	}
	return nil
}

// readField keeps a field that is not the list.
func (l *listReader) readField(name string) error {
	if err := l.next(l.left); err != nil {
		return err
	}
	l.left -= len(l.value)
	l.head[name] = append(json.RawMessage(nil), l.value...)
	return nil
}

// readEntries takes the entries of the list. No list at all is an empty one.
func (l *listReader) readEntries() error {
	l.allow(maxAnswer)
	token, err := l.decoder.Token()
	if err != nil || token == nil {
		return err
	}
	if token != json.Delim('[') {
		return errUnexpected
	}
	for l.more() {
		if l.entries++; l.entries > maxEntries {
			return errTooLong
		}
		if err := l.next(maxEntry); err != nil {
			return err
		}
		l.answer.Take(l.value)
	}
	return l.expect(']')
}

// next reads the next value, of at most so many bytes.
func (l *listReader) next(limit int) error {
	l.allow(limit)
	return l.decoder.Decode(&l.value)
}

// more reports whether the object or list goes on.
func (l *listReader) more() bool {
	l.allow(maxAnswer)
	return l.decoder.More()
}

func (l *listReader) expect(delimiter json.Delim) error {
	l.allow(maxAnswer)
	token, err := l.decoder.Token()
	if err == nil && token != delimiter {
		return errUnexpected
	}
	return err
}

// allow lets the decoder read so many bytes further than it has decoded, besides a comma
// before the value and a byte after it, by which it knows the end of a number.
func (l *listReader) allow(more int) {
	l.source.limit = min(l.decoder.InputOffset()+int64(more)+2, maxList+1)
}

// allowance reads from a reader as far as it is allowed to.
type allowance struct {
	from        io.Reader
	read, limit int64
	failure     error // other than the end
}

func (a *allowance) Read(p []byte) (int, error) {
	left := a.limit - a.read
	if left <= 0 {
		a.failure = errTooLong
		return 0, errTooLong
	}
	n, err := a.from.Read(p[:min(int64(len(p)), left)])
	a.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		a.failure = err
	}
	return n, err
}
