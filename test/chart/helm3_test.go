// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	chart3 "helm.sh/helm/v3/pkg/chart/loader"
	util3 "helm.sh/helm/v3/pkg/chartutil"
	engine3 "helm.sh/helm/v3/pkg/engine"
)

// TestHelm3RendersTheSame: many clusters and GitOps tools still have Helm 3.
func TestHelm3RendersTheSame(t *testing.T) {
	t.Parallel()
	chart, err := chart3.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	version, err := util3.ParseKubeVersion(kubeVersion)
	if err != nil {
		t.Fatal(err)
	}
	capabilities := util3.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	release := util3.ReleaseOptions{Name: releaseName, Namespace: releaseNamespace, Revision: 1, IsInstall: true}
	for name, values := range cases(t) {
		all, err := util3.ToRenderValues(chart, values, release, capabilities)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files, err := engine3.Render(chart, all)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, err := render(values)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, byName(files)); diff != "" {
			t.Errorf("%s (-helm 4 +helm 3):\n%s", name, diff)
		}
	}
}
