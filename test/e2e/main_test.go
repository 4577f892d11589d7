// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e tests the operator as users run it: its image in pods of a real
// cluster, installed by the chart or by kustomize, between cert-manager and an
// emulated cloud. `make e2e` makes the cluster; see hack/e2e.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// The release as the chart's README installs it, and what it needs beside it.
const (
	releaseName      = "cloudcert"
	releaseNamespace = "cloudcert-system"
	credentials      = "cloudcert-credentials"
	cloudCAConfigMap = "cloud-ca"
)

var (
	kube client.Client
	// cloudCA signs the emulator's certificate, siteCA those of the applications.
	cloudCA, siteCA *testbed.CA
)

func TestMain(m *testing.M) {
	if err := setUp(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func setUp(ctx context.Context) error {
	for _, name := range []string{"KUBECONFIG", "E2E_IMAGE", "E2E_CLOUD_IP", "E2E_CERT_MANAGER", "E2E_LOG"} {
		if os.Getenv(name) == "" {
			return fmt.Errorf("%s is not set: run these tests by `make e2e`", name)
		}
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	cfg, err := config.GetConfig()
	if err != nil {
		return err
	}
	if kube, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if cloudCA, err = testbed.NewCA("Cloud CA"); err != nil {
		return err
	}
	if siteCA, err = testbed.NewCA("Site CA"); err != nil {
		return err
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: releaseNamespace, Labels: map[string]string{
			"pod-security.kubernetes.io/enforce": "restricted", // the defaults have to fit
		}}},
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: releaseNamespace, Name: cloudCAConfigMap},
			Data:       map[string]string{"ca.crt": string(cloudCA.PEM())},
		},
		credentialsSecret(accessKeyID, accessKeySecret),
	} {
		if err := kube.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func credentialsSecret(id, secret string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: releaseNamespace, Name: credentials},
		StringData: map[string]string{"accessKeyId": id, "accessKeySecret": secret},
	}
}
