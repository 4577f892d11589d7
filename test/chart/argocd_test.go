// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"sigs.k8s.io/yaml"
)

// healthChecks are the scripts of config/argocd, by their kind.
func healthChecks(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "config", "argocd", "argocd-cm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	patch := struct{ Data map[string]string }{}
	if err := yaml.UnmarshalStrict(raw, &patch); err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{}
	for key, script := range patch.Data {
		kind, ok := strings.CutPrefix(key, "resource.customizations.health.cloudcert.io_")
		if !ok {
			t.Errorf("key %s is for no kind of ours", key)
		}
		scripts[kind] = script
	}
	return scripts
}

// health runs a script on an object as Argo CD does, as the global obj.
func health(t *testing.T, script, object string) (status, message string) {
	t.Helper()
	var obj any
	if err := yaml.Unmarshal([]byte(object), &obj); err != nil {
		t.Fatal(err)
	}
	l := lua.NewState()
	defer l.Close()
	l.SetGlobal("obj", inLua(l, obj))
	if err := l.DoString(script); err != nil {
		t.Fatal(err)
	}
	result, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returns %s", l.Get(-1))
	}
	return result.RawGetString("status").String(), result.RawGetString("message").String()
}

// inLua is a value as Lua has it.
func inLua(l *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := l.NewTable()
		for key, one := range value {
			table.RawSetString(key, inLua(l, one))
		}
		return table
	case []any:
		table := l.NewTable()
		for _, one := range value {
			table.Append(inLua(l, one))
		}
		return table
	case float64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	}
	return lua.LNil
}

// TestArgoCDTellsHowHealthyObjectsAre for both kinds, by samples of each row of docs/gitops.md.
func TestArgoCDTellsHowHealthyObjectsAre(t *testing.T) {
	t.Parallel()
	ready := func(status, reason string) string {
		return fmt.Sprintf("{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: %q, reason: %s, message: why}]}}", status, reason)
	}
	both := map[string]string{
		"{metadata: {generation: 1}}":                                   "Progressing",
		"{metadata: {generation: 1}, status: {observedGeneration: -1}}": "Progressing",
		"{metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Ready, status: \"True\", reason: Synced, message: m}]}}": "Progressing",
		"{metadata: {generation: 2}, status: {observedGeneration: 2}}":                                                                            "Progressing",
		"{metadata: {generation: 2}, spec: {suspend: true}}":                                                                                      "Suspended",
		"{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: \"True\", reason: Synced, message: m}, {type: Stalled, status: \"True\", reason: X, message: m}]}}": "Degraded",
		ready("True", "Synced"):                  "Healthy",
		ready("True", "Progressing"):             "Healthy",
		ready("Unknown", "Suspended"):            "Progressing",
		ready("False", "Progressing"):            "Progressing",
		ready("False", "Throttled"):              "Progressing",
		ready("False", "AccessDenied"):           "Degraded",
		ready("False", "QuotaExceeded"):          "Degraded",
		ready("False", "DeletionBlocked"):        "Degraded",
		ready("False", "SomeReasonOfLater"):      "Degraded",
		ready("False", "CredentialsUnavailable"): "Degraded",
	}
	own := map[string]map[string]string{
		"CloudCertificate": {
			ready("False", "SecretNotFound"): "Progressing", ready("False", "UploadFailed"): "Progressing",
			ready("False", "InvalidCertificate"): "Degraded", ready("False", "NameConflict"): "Degraded",
		},
		"CloudCertificateBinding": {
			ready("False", "CertificateNotReady"): "Progressing", ready("False", "BindFailed"): "Progressing",
			ready("False", "Occupied"): "Degraded", ready("False", "TargetNotFound"): "Degraded", ready("False", "NotAllowed"): "Degraded",
		},
	}
	scripts := healthChecks(t)
	if len(scripts) != len(own) {
		t.Errorf("there are scripts for %d kinds, want %d", len(scripts), len(own))
	}
	for kind, samples := range own {
		for _, cases := range []map[string]string{both, samples} {
			for object, want := range cases {
				if status, message := health(t, scripts[kind], object); status != want || message == "" || message == "nil" {
					t.Errorf("%s %s is %s (%s), want %s", kind, object, status, message, want)
				}
			}
		}
	}
}
