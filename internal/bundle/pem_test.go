// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"testing"
)

func TestDamagedPEMIsAnErrorAndNeverSkipped(t *testing.T) {
	t.Parallel()
	const sound = "-----BEGIN A-----\nAAAA\n-----END A-----\n"
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"a block without end":                  {sound + "-----BEGIN A-----\nAAAA\n", errUnterminated},
		"a block without end before another":   {"-----BEGIN A-----\nAAAA\n" + sound, errUnterminated},
		"a begin before an encrypted block":    {"-----BEGIN A-----\n-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----", errUnterminated},
		"an end of another label":              {"-----BEGIN A-----\nAAAA\n-----END B-----\n" + sound, errUnterminated},
		"a label over two lines":               {"-----BEGIN A\n-----\nAAAA\n-----END A\n-----", errUnterminated},
		"a begin at the very end":              {sound + "-----BEGIN ", errUnterminated},
		"a character that is no base64":        {sound + "-----BEGIN A-----\nAA*A\n-----END A-----", errBadBase64},
		"base64 that lost a character":         {"-----BEGIN A-----\nAAAAA\n-----END A-----", errBadBase64},
		"an empty block":                       {"-----BEGIN A-----\n-----END A-----", errBadBase64},
		"an unknown header":                    {"-----BEGIN A-----\nComment: x\n\nAAAA\n-----END A-----", errBadBase64},
		"base64 with the end in the same line": {"-----BEGIN A-----AAAA-----END A-----", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks, err := pemBlocks([]byte(tc.text))
			if !errors.Is(err, tc.want) || err == nil && len(blocks) != 1 || err != nil && blocks != nil {
				t.Errorf("got %d blocks and %v, want %v", len(blocks), err, tc.want)
			}
		})
	}
}
