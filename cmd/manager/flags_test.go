// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// The tests here do not run in parallel: --kubeconfig is a variable of
// controller-runtime that every parse sets.
func TestFlagsAreChecked(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"a region that CAS does not have":    {[]string{"--region=eu-central-1"}, `--region: "eu-central-1"`},
		"plain HTTP to another machine":      {[]string{"--cas-endpoint=http://cas.example.com"}, "--cas-endpoint"},
		"an endpoint of an unknown region":   {[]string{"--cas-endpoint=mars=https://cas.example.com"}, "mars"},
		"two endpoints of one region":        {[]string{"--cas-endpoint=https://a.example.com", "--cas-endpoint=cn-hangzhou=https://b.example.com"}, "given twice"},
		"a cluster id with a slash":          {[]string{"--cluster-id=a/b"}, "--cluster-id"},
		"a cluster id that is too long":      {[]string{"--cluster-id=" + strings.Repeat("a", 64)}, "--cluster-id"},
		"no uploads at all":                  {[]string{"--upload-qps=0"}, "--upload-qps"},
		"a negative pace of lists":           {[]string{"--list-qps=-1"}, "--list-qps"},
		"a negative number of versions":      {[]string{"--max-versions-per-hour=-1"}, "--max-versions-per-hour"},
		"namespaces that are none":           {[]string{"--default-credentials-namespaces="}, "-default-credentials-namespaces"},
		"namespaces that are only a comma":   {[]string{"--watch-namespaces= ,"}, "-watch-namespaces"},
		"accounts that are none":             {[]string{"--allowed-account-ids="}, "-allowed-account-ids"},
		"an account that is a user's name":   {[]string{"--allowed-account-ids=1234567890123456,ops@example.com"}, `--allowed-account-ids: "ops@example.com"`},
		"profiles for everybody":             {[]string{"--pprof-bind-address=:6060"}, "--pprof-bind-address"},
		"profiles for the cluster":           {[]string{"--pprof-bind-address=10.0.0.1:6060"}, "--pprof-bind-address"},
		"profiles at a name":                 {[]string{"--pprof-bind-address=cloudcert:6060"}, "--pprof-bind-address"},
		"profiles without a port":            {[]string{"--pprof-bind-address=127.0.0.1"}, "--pprof-bind-address"},
		"a negative time to keep":            {[]string{"--prune-delay=-1h"}, "--prune-delay"},
		"a kind of target that is unknown":   {[]string{"--bind-targets=lamp"}, `--bind-targets: "lamp"`},
		"all kinds of target and one of all": {[]string{"--bind-targets=all,alb"}, `--bind-targets: "alb"`},
		"a check of everything all the time": {[]string{"--drift-interval=1s"}, "--drift-interval"},
		"no workers":                         {[]string{"--max-concurrent-reconciles=0"}, "--max-concurrent-reconciles"},
		"a missing file of authorities":      {[]string{"--cas-ca-file=/does/not/exist"}, "--cas-ca-file"},
		"a file of authorities without any":  {[]string{"--cas-ca-file=" + notPEM}, "holds no PEM certificate"},
		"an argument that is no flag":        {[]string{"start"}, `unexpected argument "start"`},
		"a flag that does not exist":         {[]string{"--nonsense"}, "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseFlags(tc.args, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error that says %q", err, tc.want)
			}
		})
	}
}

// CAS, STS and a proxy may each be verified by another CA.
func TestACAFileAddsToTheCAsOfTheSystem(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := parseFlags([]string{"--cas-ca-file=" + file}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	want.AddCert(server.Certificate())
	if !s.rootCAs.Equal(want) {
		t.Error("the file replaces what the system trusts")
	}
}

// A kind that costs a right to private keys is served only where it is named.
func TestAllKindsOfTargetAreThoseWithoutKeys(t *testing.T) {
	for arg, want := range map[string]struct{ alb, fc, oss bool }{
		"all": {alb: true}, "fc": {fc: true}, "all,fc": {alb: true, fc: true}, "fc,all": {alb: true, fc: true}, "alb": {alb: true},
		"oss": {oss: true}, "oss,all,fc": {true, true, true},
	} {
		s, err := parseFlags([]string{"--bind-targets=" + arg}, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		for product, want := range map[targets.Product]bool{targets.ALB: want.alb, targets.FC: want.fc, targets.OSS: want.oss} {
			if slices.Contains(s.targets, product) != want {
				t.Errorf("%s stands for %v", arg, s.targets)
			}
		}
	}
}

func TestFlagsOfTheContract(t *testing.T) {
	s, err := parseFlags(nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if s.region != "cn-hangzhou" || s.uploadQPS != 95 || s.listQPS != 9 || s.maxVersionsPerHour != 30 ||
		s.maxConcurrentReconciles != 60 || s.driftInterval != 6*time.Hour || s.pruneDelay != 24*time.Hour ||
		s.settleDelay != 30*time.Second || s.orphanAfter != 24*time.Hour || s.leaderElect || s.watchNamespaces != nil || s.defaultCredentialsNamespaces != nil || s.allowedAccounts != nil || s.pprofAddress != "0" {
		t.Errorf("defaults are %+v", s)
	}
	var help bytes.Buffer
	if _, err := parseFlags([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v", err)
	}
	for _, name := range []string{
		"region", "cas-endpoint", "sts-endpoint", "cas-ca-file", "cluster-id", "watch-namespaces", "default-credentials-namespaces",
		"allowed-account-ids", "upload-qps", "list-qps", "drift-interval", "prune-delay", "settle-delay", "orphan-after", "max-versions-per-hour",
		"max-concurrent-reconciles", "leader-elect", "metrics-bind-address", "health-probe-bind-address", "pprof-bind-address", "kubeconfig", "zap-log-level",
	} {
		if !strings.Contains(help.String(), "-"+name+" ") && !strings.Contains(help.String(), "-"+name+"\n") {
			t.Errorf("--help does not explain --%s", name)
		}
	}
	s, err = parseFlags([]string{
		"--region=ap-southeast-1", "--cas-endpoint=https://a.example.com", "--cas-endpoint=cn-hangzhou=http://127.0.0.1:1",
		"--watch-namespaces=a, b", "--watch-namespaces=c", "--drift-interval=6h", "--allowed-account-ids=1234567890123456, 2",
	}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"ap-southeast-1": "https://a.example.com", "cn-hangzhou": "http://127.0.0.1:1"}
	got := map[string]string{}
	for region, url := range s.endpoints {
		got[region] = strings.TrimSuffix(url, "/")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints: %s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, s.watchNamespaces); diff != "" {
		t.Errorf("namespaces: %s", diff)
	}
	if diff := cmp.Diff([]string{"1234567890123456", "2"}, s.allowedAccounts); diff != "" {
		t.Errorf("accounts: %s", diff)
	}
}

func TestVersionNeedsNoCluster(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"--version"}, func(string) string { return "" }, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "cloudcert ") {
		t.Errorf("printed %q", out.String())
	}
}

func TestMetricsAreOpenOnLoopbackOnly(t *testing.T) {
	for address, open := range map[string]bool{
		"127.0.0.1:8080": true, "[::1]:8080": true, "localhost:8080": true,
		":8443": false, "0.0.0.0:8443": false, "[::]:8443": false, "10.0.0.1:8443": false,
	} {
		if isLoopback(address) != open {
			t.Errorf("%s: open %t, want %t", address, !open, open)
		}
	}
}
