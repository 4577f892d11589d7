// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

var theKey = types.NamespacedName{Namespace: "a", Name: "two"}

// lifecycles are what can happen to an object, each as steps of users between which
// the operator works. Every external step of the operator in them is a point at which
// it is killed, or its call fails; the points are found by counting a run.
var lifecycles = map[string]func(w *world){
	"create": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
	},
	"renew": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		w.putContent(theKey, 1)
		w.work(5 * time.Second)
	},
	"roll back": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		for _, content := range []int{1, 0, 1, 0} {
			w.work(5 * time.Second)
			w.putContent(theKey, content)
		}
		w.work(5 * time.Second)
	},
	"touch the Secret": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		for range 2 { // the second one is no other content
			w.putContent(theKey, 1)
			w.work(5 * time.Second)
		}
	},
	"renew twice at once": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.putContent(theKey, 1)
		w.work(10 * time.Millisecond)
		w.putContent(theKey, 2)
		w.work(5 * time.Second)
	},
	"prune": func(w *world) {
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
		for content := range 4 {
			w.putContent(theKey, content)
			w.work(2 * time.Second)
		}
		w.work(25 * time.Hour)
	},
	"delete": func(w *world) {
		w.given(deleting)
		w.work(2 * time.Second)
		w.putContent(theKey, 1)
		w.work(2 * time.Second)
		w.api.remove(theKey)
		w.work(20 * time.Minute)
	},
	"delete while the first upload is in flight": func(w *world) {
		w.given(deleting)
		w.work(1100 * time.Millisecond)
		w.api.remove(theKey)
		w.work(20 * time.Minute)
	},
	"delete while a renewal is in flight": func(w *world) {
		w.given(deleting)
		w.work(20 * time.Minute)
		w.putContent(theKey, 1)
		w.work(time.Millisecond)
		w.api.remove(theKey)
		w.work(20 * time.Minute)
	},
	"delete after the credentials are gone": func(w *world) {
		w.putCredentials(theKey.Namespace)
		w.given(func(o *v1alpha1.CloudCertificate) {
			deleting(o)
			o.Spec.CredentialsSecretRef.Name = "creds"
		})
		w.work(5 * time.Second)
		w.api.putSecret(types.NamespacedName{Namespace: theKey.Namespace, Name: "creds"}, nil)
		w.api.putSecret(secretOf(theKey), nil)
		w.api.remove(theKey)
		w.work(25 * time.Hour)
	},
	"change the policy while it is deleted": func(w *world) {
		w.given(deleting)
		w.work(5 * time.Second)
		w.api.remove(theKey)
		w.work(5 * time.Second)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		w.work(5 * time.Second)
	},
	"adopt after the status was lost": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
		w.work(time.Hour)
	},
	"adopt after the prefix was changed": func(w *world) {
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "one" })
		w.work(30 * time.Second) // as below
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "another" })
		w.work(5 * time.Second)
		w.putContent(theKey, 1)
		w.work(30 * time.Second)
		w.putContent(theKey, 0) // which history knows under its old prefix
		w.work(5 * time.Second)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
		w.work(time.Hour)
		w.checkDrift() // which shows the version that was lost with the status
		w.work(time.Hour)
		w.putContent(theKey, 1)
		w.work(time.Hour)
	},
	"adopt after it was made again": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(30 * time.Second) // longer than the list lags behind: no name tells what is not listed
		w.api.remove(theKey)
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "another" })
		w.work(time.Hour)
	},
	"repair": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(11 * time.Minute)
		w.vanish()
		w.checkDrift()
		w.work(5 * time.Second)
	},
	"repair on request": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(11 * time.Minute)
		w.vanish()
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Annotations = map[string]string{v1alpha1.AnnotationResync: "1"} })
		w.work(5 * time.Second)
	},
	"lose the current one before a prune": func(w *world) {
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
		for content := range 3 {
			w.putContent(theKey, content)
			w.work(2 * time.Second)
		}
		w.work(23 * time.Hour)
		w.loseCurrent()
		w.work(3 * time.Hour)
	},
	"change the account while STS is away": func(w *world) {
		w.putCredentials(theKey.Namespace)
		w.given(func(o *v1alpha1.CloudCertificate) {
			o.Spec.RevisionHistoryLimit = new(int32(0))
			o.Spec.CredentialsSecretRef.Name = "creds"
		})
		w.work(time.Minute) // in the other account
		w.useCredentials(theKey.Namespace, "LTAIown", "own-secret")
		w.work(time.Minute)
		w.putContent(theKey, 1)
		w.work(26 * time.Hour)
		w.operator().dead = true
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: "GetCallerIdentity"})
		w.useCredentials(theKey.Namespace, "LTAIother", "other-secret") // where content 0 is used
		w.work(time.Minute)
		w.checkDrift()
		w.work(26 * time.Hour)
	},
	"prune around one that is in use": func(w *world) {
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
		for content := range 4 {
			w.putContent(theKey, content)
			w.work(2 * time.Second)
		}
		w.useFirst()
		w.work(25 * time.Hour)
	},
	"delete with one that is in use": func(w *world) {
		w.given(deleting)
		for content := range 3 {
			w.putContent(theKey, content)
			w.work(2 * time.Second)
		}
		w.useFirst()
		w.api.remove(theKey)
		w.work(20 * time.Minute)
	},
	"restore etcd under the operator": func(w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Hour)
		snapshot := w.snapshot()
		w.putContent(theKey, 1)
		w.work(time.Minute)
		w.restoreEtcd(snapshot)
		w.work(5 * time.Second)
		w.putContent(theKey, 2)
		w.work(5 * time.Second)
	},
	"restore etcd to before a deletion": func(w *world) {
		w.given(deleting)
		w.work(5 * time.Second)
		snapshot := w.snapshot()
		w.api.remove(theKey)
		w.work(20 * time.Minute)
		w.restoreEtcd(snapshot)
		w.work(time.Minute)
		w.checkDrift()
		w.work(time.Minute)
	},
	"get the status of another cluster": func(w *world) {
		w.given(func(o *v1alpha1.CloudCertificate) {
			deleting(o)
			o.Spec.RevisionHistoryLimit = new(int32(0))
		})
		w.work(5 * time.Second)
		w.cloneFrom("another", theKey)
		w.work(time.Minute)
		w.putContent(theKey, 1)
		w.work(26 * time.Hour)
	},
	"renew under an older CRD": func(w *world) {
		w.api.lacks = "historyTotal"
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		w.putContent(theKey, 1)
		w.work(5 * time.Second)
		w.putContent(theKey, 2)
		w.work(5 * time.Second)
	},
	"relocate": func(w *world) {
		w.given(deleting)
		w.work(5 * time.Second)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.Region = cas.RegionInternational })
		w.work(5 * time.Second)
		w.putCredentials(theKey.Namespace)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.CredentialsSecretRef.Name = "creds" })
		w.work(5 * time.Second)
		w.putContent(theKey, 1)
		w.work(5 * time.Second)
		w.api.remove(theKey)
		w.work(20 * time.Minute)
	},
}

func deleting(o *v1alpha1.CloudCertificate) { o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete }

// given makes the object, and its Secret if there is none.
func (w *world) given(change func(*v1alpha1.CloudCertificate)) {
	if w.api.secrets[secretOf(theKey)] == nil {
		w.putContent(theKey, 0)
	}
	object := &v1alpha1.CloudCertificate{}
	object.Namespace, object.Name = theKey.Namespace, theKey.Name
	object.Spec.SecretRef.Name = secretOf(theKey).Name
	object.Spec.Type = v1alpha1.CertificateTypeTLS
	object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	change(object)
	w.api.create(object)
}

// work lets the operator work for a time; one that was killed is started again.
func (w *world) work(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		w.settle(w.operator(), time.Until(end))
	}
}

// operator is the one that runs.
func (w *world) operator() *operator {
	if len(w.operators) > 0 && w.operators[0].dead {
		w.stop(w.operators[0])
	}
	if len(w.operators) == 0 {
		w.start()
	}
	return w.operators[0]
}

// vanish deletes everything of ours in the cloud, as a person in the console would.
func (w *world) vanish() {
	for _, c := range w.all() {
		w.deleteInConsole(c)
	}
}

// useFirst has the oldest certificate of ours used by something that the operator does
// not know, under a code that it does not know.
func (w *world) useFirst() {
	if ours := w.ours(); len(ours) > 0 {
		w.use(ours[0], useCodes[1])
	}
}

// checkDrift does a drift round everywhere.
func (w *world) checkDrift() {
	w.operator().checkDrift()
}
