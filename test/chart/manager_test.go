// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestManagerTakesTheArguments runs the operator with what the chart gives it:
// with --version it checks its flags and goes.
func TestManagerTakesTheArguments(t *testing.T) {
	t.Parallel()
	for name, values := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := arguments(t, one(t, objects(t, values), "Deployment"))
			for i, arg := range args { // the file is a mount of the pod
				if strings.HasPrefix(arg, "--cas-ca-file=") {
					args[i] = "--cas-ca-file=" + os.DevNull
				}
			}
			out, err := exec.CommandContext(t.Context(), manager, append(args, "--version")...).CombinedOutput()
			if err != nil && !strings.Contains(string(out), os.DevNull+" holds no PEM certificate") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestDefaultsAreTheManagers: values.yaml documents what happens anyway.
func TestDefaultsAreTheManagers(t *testing.T) {
	t.Parallel()
	help, err := exec.CommandContext(t.Context(), manager, "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	args := arguments(t, one(t, objects(t, nil), "Deployment"))
	for _, flag := range []string{"region", "upload-qps", "list-qps", "max-versions-per-hour", "max-concurrent-reconciles", "drift-interval", "prune-delay", "settle-delay", "orphan-after", "metrics-bind-address", "health-probe-bind-address"} {
		match := regexp.MustCompile(`(?s)\n  -` + flag + ` .*?\(default "?([^")]*)"?\)\n`).FindSubmatch(help)
		if match == nil {
			t.Fatalf("no default of --%s in:\n%s", flag, help)
		}
		want := string(match[1])
		i := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--"+flag+"=") })
		if i < 0 || !sameValue(strings.TrimPrefix(args[i], "--"+flag+"="), want) {
			t.Errorf("the chart does not set --%s=%s: %q", flag, want, args)
		}
	}
}

// sameValue compares two values of a flag; a duration has several writings.
func sameValue(a, b string) bool {
	first, err := time.ParseDuration(a)
	second, secondErr := time.ParseDuration(b)
	return a == b || err == nil && secondErr == nil && first == second
}

// arguments are those of the operator's container.
func arguments(t *testing.T, deployment *unstructured.Unstructured) []string {
	t.Helper()
	var args []string
	for _, arg := range container(t, deployment)["args"].([]any) {
		args = append(args, arg.(string))
	}
	return args
}

// TestGoKeepsToFourFifthsOfTheMemoryLimit, in whatever way the limit is written.
func TestGoKeepsToFourFifthsOfTheMemoryLimit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ values, want string }{
		"by default":           {"{}", "214748364"},
		"mebibytes":            {"resources: {limits: {memory: 64Mi}}", "53687091"},
		"part of a gibibyte":   {"resources: {limits: {memory: 1.5Gi}}", "1288490188"},
		"decimal units":        {"resources: {limits: {memory: 500M}}", "400000000"},
		"bytes as a number":    {"resources: {limits: {memory: 100000000}}", "80000000"},
		"bytes as text":        {`resources: {limits: {memory: "100000000"}}`, "80000000"},
		"an exponent":          {`resources: {limits: {memory: "1e8"}}`, "80000000"},
		"no limit of memory":   {"resources: {limits: {memory: null, cpu: 1}}", ""},
		"no limits":            {"resources: {limits: null}", ""},
		"a limit of nothing":   {`resources: {limits: {memory: "0"}}`, ""},
		"a unit without sense": {`resources: {limits: {memory: 100000000000m}}`, ""},
		"a limit of the user's": {
			"extraEnv: [{name: GOMEMLIMIT, value: 100MiB}]", "100MiB",
		},
		"another variable of the user's": {"extraEnv: [{name: HTTPS_PROXY, value: x}]", "214748364"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, variable := range environment(t, one(t, objects(t, parse(t, tc.values)), "Deployment")) {
				if variable := variable.(map[string]any); variable["name"] == "GOMEMLIMIT" {
					got = append(got, variable["value"].(string))
				}
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("GOMEMLIMIT is %q, want %q", got, tc.want)
			}
		})
	}
}

// environment are the variables of the operator's container.
func environment(t *testing.T, deployment *unstructured.Unstructured) []any {
	t.Helper()
	env, _ := container(t, deployment)["env"].([]any)
	return env
}
