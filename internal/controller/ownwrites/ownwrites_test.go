// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package ownwrites

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func version(v string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1", ResourceVersion: v}}
}

func TestAVersionThatWasReplacedIsBehind(t *testing.T) {
	t.Parallel()
	var l Log
	for _, step := range []struct{ from, to string }{{"10", "11"}, {"11", "12"}, {"12", "13"}} {
		l.Begin(version(step.from), step.from, step.to)
		l.End(version(step.to), step.from, step.to)
	}
	for v, want := range map[string]bool{"": false, "10": false, "11": true, "12": true, "13": false, "14": false} {
		if got := l.IsBehind(version(v)); got != want {
			t.Errorf("version %q is behind: %t, want %t", v, got, want)
		}
	}
	l.Undo(version("13"), "12")
	if l.IsBehind(version("12")) {
		t.Error("what was taken back is behind")
	}
	l.Forget(types.NamespacedName{Namespace: "shop", Name: "web"})
	if l.IsBehind(version("11")) {
		t.Error("what is forgotten is behind")
	}
}

func TestAStatusIsOursByWhatItSays(t *testing.T) {
	t.Parallel()
	var l Log
	l.Begin(version("10"), "10", "ours")
	if !l.IsOwn(version("11"), "ours") || l.IsOwn(version("11"), "theirs") {
		t.Error("while the answer is on its way the status tells")
	}
	l.End(version("11"), "10", "ours")
	if !l.IsOwn(version("11"), "ours") || l.IsOwn(version("12"), "ours") {
		t.Error("the version that was made, and no other, is ours")
	}
}

func TestACacheThatStandsStill(t *testing.T) {
	t.Parallel()
	var l Log
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	if !l.Stale(version("10"), now) || l.Stale(version("10"), now.Add(time.Second)) {
		t.Error("the first time is news, the second is not")
	}
	if got := l.StaleFor(version("10"), now.Add(3*time.Second)); got != 3*time.Second {
		t.Errorf("stale for %s", got)
	}
	if got := l.StaleFor(version("11"), now.Add(3*time.Second)); got != 0 {
		t.Errorf("another version is stale for %s", got)
	}
}
