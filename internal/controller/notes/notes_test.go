// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package notes

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func object(name string, uid types.UID) client.Object {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: uid}}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	var n Notes[int]
	if n.Of(object("web", "1")) != 0 || len(n.objects) != 0 {
		t.Error("an object without a note has one, or reading makes one")
	}
	add := func(o client.Object) { n.Change(o, func(v *int) { *v++ }) }
	add(object("web", "1"))
	add(object("web", "1"))
	add(object("api", "2"))
	if n.Of(object("web", "1")) != 2 || n.Of(object("api", "2")) != 1 {
		t.Error("notes are mixed up")
	}
	if n.Of(object("web", "3")) != 0 {
		t.Error("an object that was made again has the note of the one before")
	}
	if add(object("web", "3")); n.Of(object("web", "3")) != 1 || len(n.objects) != 2 {
		t.Error("an object that was made again is not noted anew")
	}
	n.Keep(object("web", "3"), func(v *int) bool { *v = 7; return true })
	n.Keep(object("api", "2"), func(*int) bool { return false })
	n.Keep(object("none", "4"), func(*int) bool { t.Error("a note that there is not"); return true })
	if n.Of(object("web", "3")) != 7 || len(n.objects) != 1 {
		t.Error("what is to be kept or forgotten")
	}
	if n.Forget(types.NamespacedName{Namespace: "shop", Name: "web"}); len(n.objects) != 0 {
		t.Error("not forgotten")
	}
}
