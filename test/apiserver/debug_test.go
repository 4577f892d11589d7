// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// TestHTTPDebugKeepsSecrets runs the operator with the variable that makes net/http print the
// frames of HTTP/2, straight to the API server, which offers it.
func TestHTTPDebugKeepsSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.args = append(w.args, "--kubeconfig="+w.directKubeconfig()) // the last one of a flag counts
	w.env = append(w.env, "GODEBUG=http2debug=2")
	w.start()
	secrets := newNeedles()
	secrets.add("access key secret", accessKey)
	secrets.add("token of the ServiceAccount", operator.BearerToken)
	pair := w.issue("web.example.com")
	secrets.addKey(pair.PrivateKey)
	w.putSecret("web", pair)
	w.create("web", nil)
	w.waitReason("web", v1alpha1.ReasonSynced)
	w.stop()
	output := w.output()
	if output == "" {
		t.Error("nothing was put out, so nothing was searched")
	}
	for _, what := range secrets.in(output) {
		t.Errorf("the output holds %s", what)
	}
}

// directKubeconfig writes a kubeconfig that leads to the API server itself.
func (w *world) directKubeconfig() string {
	w.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{
		Server: operator.Host, CertificateAuthorityData: operator.CAData, CertificateAuthority: operator.CAFile,
	}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: operator.BearerToken}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "c"
	path := filepath.Join(w.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		w.t.Fatal(err)
	}
	return path
}
