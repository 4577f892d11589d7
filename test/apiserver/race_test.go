// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package apiserver

// raceFlags builds the operator as this test is built.
var raceFlags = []string{"-race"}
