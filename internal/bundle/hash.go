// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// Hash identifies the content of a bundle: SHA-256 over a version byte, the
// type, and for each chain the number of certificates and the DER of each, as
// uploaded. The private key is no part of it: it is proven to match the leaf.
//
// The format is frozen: cloud names are made of it, and a change would upload
// every certificate again. testdata/vectors.json holds the golden vectors.
type Hash [sha256.Size]byte

const (
	hashVersion = 0x01
	hashPrefix  = "sha256:"
)

// String returns "sha256:" and 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hashPrefix + hex.EncodeToString(h[:]) }

// contentHash hashes the chains in the order in which they are uploaded.
func contentHash(t Type, chains ...[]*certificate) Hash {
	digest := sha256.New()
	digest.Write([]byte{hashVersion})
	writeField(digest, []byte(t))
	for _, chain := range chains {
		writeLength(digest, len(chain))
		for _, c := range chain {
			writeField(digest, c.Raw)
		}
	}
	return Hash(digest.Sum(nil))
}

// writeField writes lp(x): the length as eight big-endian bytes, then x, so that
// no two lists of fields are written alike.
func writeField(w hash.Hash, x []byte) {
	writeLength(w, len(x))
	w.Write(x)
}

func writeLength(w hash.Hash, n int) {
	w.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) //nolint:gosec // a length
}
