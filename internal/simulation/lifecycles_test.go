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

var simKey = types.NamespacedName{Namespace: "a", Name: "two"}

// lifecycles are what can happen to an object, each as steps of users between which
// the operator works. Every external step of the operator in them is a point at which
// it is killed, or its call fails; the points are found by counting a run.
var lifecycles = map[string]func(w *simWorld){
	"create": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
	},
	"renew": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		w.putContent(simKey, 1)
		w.work(5 * time.Second)
	},
	"roll back": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		for _, content := range []int{1, 0, 1, 0} {
			w.work(5 * time.Second)
			w.putContent(simKey, content)
		}
		w.work(5 * time.Second)
	},
	"touch the Secret": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		for range 2 { // the second one is no other content
			w.putContent(simKey, 1)
			w.work(5 * time.Second)
		}
	},
	"renew twice at once": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.putContent(simKey, 1)
		w.work(10 * time.Millisecond)
		w.putContent(simKey, 2)
		w.work(5 * time.Second)
	},
	"prune": func(w *simWorld) {
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
		for content := range 4 {
			w.putContent(simKey, content)
			w.work(2 * time.Second)
		}
		w.work(25 * time.Hour)
	},
	"delete": func(w *simWorld) {
		w.given(deleting)
		w.work(2 * time.Second)
		w.putContent(simKey, 1)
		w.work(2 * time.Second)
		w.api.remove(simKey)
		w.work(20 * time.Minute)
	},
	"delete while the first upload is in flight": func(w *simWorld) {
		w.given(deleting)
		w.work(1100 * time.Millisecond)
		w.api.remove(simKey)
		w.work(20 * time.Minute)
	},
	"delete while a renewal is in flight": func(w *simWorld) {
		w.given(deleting)
		w.work(20 * time.Minute)
		w.putContent(simKey, 1)
		w.work(time.Millisecond)
		w.api.remove(simKey)
		w.work(20 * time.Minute)
	},
	"delete after the credentials are gone": func(w *simWorld) {
		w.putCredentials(simKey.Namespace)
		w.given(func(o *v1alpha1.CloudCertificate) {
			deleting(o)
			o.Spec.CredentialsSecretRef.Name = "creds"
		})
		w.work(5 * time.Second)
		w.api.putSecret(types.NamespacedName{Namespace: simKey.Namespace, Name: "creds"}, nil)
		w.api.putSecret(secretOf(simKey), nil)
		w.api.remove(simKey)
		w.work(25 * time.Hour)
	},
	"change the policy while it is deleted": func(w *simWorld) {
		w.given(deleting)
		w.work(5 * time.Second)
		w.api.remove(simKey)
		w.work(5 * time.Second)
		w.api.change(simKey, func(o *v1alpha1.CloudCertificate) { o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		w.work(5 * time.Second)
	},
	"adopt after the status was lost": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		w.api.change(simKey, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
		w.work(time.Hour)
	},
	"adopt after the prefix was changed": func(w *simWorld) {
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "one" })
		w.work(30 * time.Second) // as below
		w.api.change(simKey, func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "another" })
		w.work(5 * time.Second)
		w.putContent(simKey, 1)
		w.work(30 * time.Second)
		w.putContent(simKey, 0) // which history knows under its old prefix
		w.work(5 * time.Second)
		w.api.change(simKey, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
		w.work(time.Hour)
		w.checkDrift() // which shows the version that was lost with the status
		w.work(time.Hour)
		w.putContent(simKey, 1)
		w.work(time.Hour)
	},
	"adopt after it was made again": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(30 * time.Second) // longer than the list lags behind: no name tells what is not listed
		w.api.remove(simKey)
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "another" })
		w.work(time.Hour)
	},
	"repair": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(11 * time.Minute)
		w.vanish()
		w.checkDrift()
		w.work(5 * time.Second)
	},
	"repair on request": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(11 * time.Minute)
		w.vanish()
		w.api.change(simKey, func(o *v1alpha1.CloudCertificate) { o.Annotations = map[string]string{v1alpha1.AnnotationResync: "1"} })
		w.work(5 * time.Second)
	},
	"lose the current one before a prune": func(w *simWorld) {
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
		for content := range 3 {
			w.putContent(simKey, content)
			w.work(2 * time.Second)
		}
		w.work(23 * time.Hour)
		w.loseCurrent()
		w.work(3 * time.Hour)
	},
	"change the account while STS is away": func(w *simWorld) {
		w.putCredentials(simKey.Namespace)
		w.given(func(o *v1alpha1.CloudCertificate) {
			o.Spec.RevisionHistoryLimit = new(int32(0))
			o.Spec.CredentialsSecretRef.Name = "creds"
		})
		w.work(time.Minute) // in the other account
		w.useCredentials(simKey.Namespace, "LTAIown", "own-secret")
		w.work(time.Minute)
		w.putContent(simKey, 1)
		w.work(26 * time.Hour)
		w.operator().dead = true
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: "GetCallerIdentity"})
		w.useCredentials(simKey.Namespace, "LTAIother", "other-secret") // where content 0 is used
		w.work(time.Minute)
		w.checkDrift()
		w.work(26 * time.Hour)
	},
	"prune around one that is in use": func(w *simWorld) {
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
		for content := range 4 {
			w.putContent(simKey, content)
			w.work(2 * time.Second)
		}
		w.useFirst()
		w.work(25 * time.Hour)
	},
	"delete with one that is in use": func(w *simWorld) {
		w.given(deleting)
		for content := range 3 {
			w.putContent(simKey, content)
			w.work(2 * time.Second)
		}
		w.useFirst()
		w.api.remove(simKey)
		w.work(20 * time.Minute)
	},
	"restore etcd under the operator": func(w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Hour)
		snapshot := w.snapshot()
		w.putContent(simKey, 1)
		w.work(time.Minute)
		w.restoreEtcd(snapshot)
		w.work(5 * time.Second)
		w.putContent(simKey, 2)
		w.work(5 * time.Second)
	},
	"restore etcd to before a deletion": func(w *simWorld) {
		w.given(deleting)
		w.work(5 * time.Second)
		snapshot := w.snapshot()
		w.api.remove(simKey)
		w.work(20 * time.Minute)
		w.restoreEtcd(snapshot)
		w.work(time.Minute)
		w.checkDrift()
		w.work(time.Minute)
	},
	"get the status of another cluster": func(w *simWorld) {
		w.given(func(o *v1alpha1.CloudCertificate) {
			deleting(o)
			o.Spec.RevisionHistoryLimit = new(int32(0))
		})
		w.work(5 * time.Second)
		w.cloneFrom("another", simKey)
		w.work(time.Minute)
		w.putContent(simKey, 1)
		w.work(26 * time.Hour)
	},
	"renew under an older CRD": func(w *simWorld) {
		w.api.lacks = "historyTotal"
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		w.putContent(simKey, 1)
		w.work(5 * time.Second)
		w.putContent(simKey, 2)
		w.work(5 * time.Second)
	},
	"relocate": func(w *simWorld) {
		w.given(deleting)
		w.work(5 * time.Second)
		w.api.change(simKey, func(o *v1alpha1.CloudCertificate) { o.Spec.Region = cas.RegionInternational })
		w.work(5 * time.Second)
		w.putCredentials(simKey.Namespace)
		w.api.change(simKey, func(o *v1alpha1.CloudCertificate) { o.Spec.CredentialsSecretRef.Name = "creds" })
		w.work(5 * time.Second)
		w.putContent(simKey, 1)
		w.work(5 * time.Second)
		w.api.remove(simKey)
		w.work(20 * time.Minute)
	},
}

func deleting(o *v1alpha1.CloudCertificate) { o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete }

// given makes the object, and its Secret if there is none.
func (w *simWorld) given(change func(*v1alpha1.CloudCertificate)) {
	if w.api.secrets[secretOf(simKey)] == nil {
		w.putContent(simKey, 0)
	}
	object := &v1alpha1.CloudCertificate{}
	object.Namespace, object.Name = simKey.Namespace, simKey.Name
	object.Spec.SecretRef.Name = secretOf(simKey).Name
	object.Spec.Type = v1alpha1.CertificateTypeTLS
	object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	change(object)
	w.api.create(object)
}

// work lets the operator work for a time; one that was killed is started again.
func (w *simWorld) work(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		w.settle(w.operator(), time.Until(end))
	}
}

// operator is the one that runs.
func (w *simWorld) operator() *simOperator {
	if len(w.operators) > 0 && w.operators[0].dead {
		w.stop(w.operators[0])
	}
	if len(w.operators) == 0 {
		w.start()
	}
	return w.operators[0]
}

// vanish deletes everything of ours in the cloud, as a person in the console would.
func (w *simWorld) vanish() {
	for _, c := range w.all() {
		w.deleteInConsole(c)
	}
}

// useFirst has the oldest certificate of ours used by something that the operator does
// not know, under a code that it does not know.
func (w *simWorld) useFirst() {
	if ours := w.ours(); len(ours) > 0 {
		w.use(ours[0], useCodes[1])
	}
}

// checkDrift does a drift round everywhere.
func (w *simWorld) checkDrift() {
	w.operator().checkDrift()
}
