// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// Shared by all tests: a control plane, an administrator's client for it, and the
// operator's binary.
var (
	plane   *testbed.ControlPlane
	kube    client.Client
	manager string
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if *update { // the golden files alone: they need no API server
		if err := flag.Set("test.run", "^TestRendersAreKnown$"); err != nil {
			return 1, err
		}
		return m.Run(), nil
	}
	ctrl.SetLogger(logr.Discard()) // what the test's own clients have to say
	dir, err := os.MkdirTemp("", "cloudcert-chart-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if manager, err = testbed.Build(context.Background(), dir, "./cmd/manager"); err != nil {
		return 1, err
	}
	if plane, err = testbed.StartControlPlane(); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	kube, err = client.New(plane.Config, client.Options{FieldOwner: "test", FieldValidation: "Strict"})
	if err != nil {
		return 1, err
	}
	return m.Run(), nil
}
