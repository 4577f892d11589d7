// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// startCertManager installs cert-manager's CRDs and runs its controllers.
func startCertManager(t *testing.T) {
	t.Helper()
	kubectl(t, "apply", "--server-side", "-f", os.Getenv("E2E_CERT_MANAGER"))
	waitServedKinds(t, "certificates.cert-manager.io", "issuers.cert-manager.io", "clusterissuers.cert-manager.io", "certificaterequests.cert-manager.io")
	log, err := os.Create(filepath.Join(os.Getenv("E2E_LOG"), "cert-manager.log"))
	if err != nil {
		t.Fatal(err)
	}
	binary, err := exec.LookPath("cert-manager")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--kubeconfig="+os.Getenv("KUBECONFIG"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
	})
}

const issuers = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: self-signed, namespace: %[1]s}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: ca, namespace: %[1]s}
spec:
  isCA: true
  commonName: cert-manager CA
  secretName: ca
  issuerRef: {name: self-signed}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: ca, namespace: %[1]s}
spec: {ca: {secretName: ca}}
`

// issue has cert-manager issue a certificate of an hour into the Secret of the same name.
func (a *app) issue(name, renewBefore string) {
	a.t.Helper()
	apply(a.t, fmt.Sprintf(`
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  secretName: %[2]s
  commonName: %[2]s.example.com
  dnsNames: [%[2]s.example.com]
  duration: 1h
  renewBefore: %[3]s
  issuerRef: {name: ca}
`, a.namespace, name, renewBefore))
}

// reissue asks cert-manager for another certificate, as cmctl renew does.
func (a *app) reissue(name string) {
	a.t.Helper()
	kubectl(a.t, "patch", "certificate.cert-manager.io/"+name, "--namespace="+a.namespace, "--subresource=status", "--type=json", "--patch",
		fmt.Sprintf(`[{"op": "add", "path": "/status/conditions/-", "value": {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "asked for", "lastTransitionTime": %q}}]`,
			time.Now().UTC().Format(time.RFC3339)))
}

// TestCertManager has cert-manager issue from a CA and renew, because it is time
// and because somebody asks for it: the cloud gets every version.
func TestCertManager(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, nil)
	startCertManager(t)
	a := newApp(t, "cert-manager-app")
	apply(t, fmt.Sprintf(issuers, a.namespace))
	// Two certificates: one that is renewed soon, and one that could wait.
	for name, renewBefore := range map[string]string{"soon": "59m40s", "later": "10m"} {
		a.issue(name, renewBefore)
		a.create(name, nil)
	}
	soon, later := a.waitReady("soon", 0), a.waitReady("later", 0)
	c.checkHeld(t, soon)
	c.checkHeld(t, later)
	if !strings.Contains(soon.Status.Certificate.Issuer, "cert-manager CA") {
		t.Errorf("the issuer is %q, want cert-manager's CA", soon.Status.Certificate.Issuer)
	}

	a.reissue("later")
	asked := a.waitReady("later", later.Status.CertID)
	c.checkHeld(t, asked)

	renewed := a.waitReady("soon", soon.Status.CertID)
	c.checkHeld(t, renewed)
	// It is renewed every twenty seconds: there may have been versions before the one that was seen first.
	if !slices.ContainsFunc(renewed.Status.History, func(h v1alpha1.CertificateVersion) bool { return h.CertID == soon.Status.CertID }) {
		t.Errorf("history is %+v, want certificate %d in it", renewed.Status.History, soon.Status.CertID)
	}
	// Exactly one certificate for each revision that cert-manager made of this one.
	if held := c.certificates("later.example.com"); len(held) != 2 {
		t.Errorf("the cloud holds %d versions of the certificate that was renewed once: %+v", len(held), held)
	}
}
