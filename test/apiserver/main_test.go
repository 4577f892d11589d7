// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver tests cloudcert on a real API server: what the server refuses
// and prints, and the operator's own binary at work between it and the emulator.
package apiserver

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// Shared by all tests: one control plane, an administrator's client for it, and
// the operator's binary, built with the race detector where this test is.
var (
	plane       *testbed.ControlPlane
	kube        client.Client
	operator    *rest.Config // as the operator's ServiceAccount, with the roles of config/rbac and no others
	managerPath string
	buildFolder string
)

func TestMain(m *testing.M) {
	if os.Getenv(heapChild) != "" {
		os.Exit(runHeapChild())
	}
	if err := runMoreAtOnce(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

// runMoreAtOnce has four tests run at once for each processor, unless -parallel says otherwise:
// a test mostly waits for its operator, or for time to go by.
func runMoreAtOnce() error {
	const name = "test.parallel"
	flag.Parse()
	isSet := false
	flag.Visit(func(f *flag.Flag) { isSet = isSet || f.Name == name })
	if isSet {
		return nil
	}
	return flag.Set(name, strconv.Itoa(4*goruntime.GOMAXPROCS(0)))
}

func run(m *testing.M) (code int, err error) {
	ctrl.SetLogger(logr.Discard()) // what the test's own clients have to say
	dir, err := os.MkdirTemp("", "cloudcert-apiserver-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	buildFolder = dir
	if managerPath, err = testbed.Build(ctx, dir, "./cmd/manager", raceFlags...); err != nil {
		return 1, err
	}
	if plane, err = testbed.StartControlPlane(); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := plane.Stop(); err == nil {
			err = stopErr
		}
	}()
	kube, err = client.New(plane.Config, client.Options{Scheme: scheme(), FieldValidation: "Strict"})
	if err != nil {
		return 1, err
	}
	if operator, err = installRoles(); err != nil {
		return 1, err
	}
	albConfigs := envtest.CRDInstallOptions{Paths: []string{filepath.Join("testdata", "albconfig_crd.yaml")}, ErrorIfPathMissing: true, MaxTime: deadline}
	if _, err := envtest.InstallCRDs(plane.Config, albConfigs); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// installRoles applies the manifests that give the operator its permissions, and
// returns a config with a token of its ServiceAccount.
func installRoles() (*rest.Config, error) {
	var files []string
	for _, folder := range []string{"rbac", "binding", "binding-service", "binding-albconfig"} {
		found, err := filepath.Glob(filepath.Join(testbed.Root(), "config", folder, "*.yaml"))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	for _, file := range append([]string{filepath.Join(testbed.Root(), "config", "manager", "namespace.yaml")}, files...) {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		if err := createAll(file); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "cloudcert-system", Name: "cloudcert"}}
	token := &authenticationv1.TokenRequest{}
	if err := kube.SubResource("token").Create(ctx, account, token); err != nil {
		return nil, fmt.Errorf("failed to get a token for the operator's ServiceAccount: %w", err)
	}
	config := rest.AnonymousClientConfig(plane.Config)
	config.BearerToken = token.Status.Token
	return config, nil
}

// createAll creates every object of a file of manifests.
func createAll(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
		object := &unstructured.Unstructured{}
		err := documents.Decode(object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue // a comment between two separators
		}
		if err := kube.Create(ctx, object); err != nil {
			return err
		}
	}
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	_ = clientgoscheme.AddToScheme(s) // adding types to an empty scheme cannot fail
	_ = v1alpha1.AddToScheme(s)
	return s
}
