// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/certificate"
)

// playedManager is what SetupWithManager needs of a manager. The controller, its watches
// with their predicates and handlers, and its rate limiter are the real ones; the
// informers and the queue wait for the simulation.
type playedManager struct {
	manager.Manager
	op          *operator
	controllers []manager.Runnable
}

// scheme has every kind that the operator reads or writes.
var scheme = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}()

// Add implements manager.Manager.
func (m *playedManager) Add(runnable manager.Runnable) error {
	switch runnable := runnable.(type) {
	case *certificate.Drift: // the simulation says when it checks
		m.op.drift = runnable
	case manager.RunnableFunc:
		return runnable(context.Background())
	default:
		m.controllers = append(m.controllers, runnable)
	}
	return nil
}

func (m *playedManager) GetScheme() *runtime.Scheme { return scheme }

func (m *playedManager) GetLogger() logr.Logger { return logr.New(logSink{op: m.op}) }

func (m *playedManager) GetCache() cache.Cache { return informers{op: m.op} }

// GetControllerOptions implements manager.Manager. A panic is one of the simulation.
func (m *playedManager) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: new(true), RecoverPanic: new(false)}
}

func (m *playedManager) GetFieldIndexer() client.FieldIndexer { return m }

// IndexField implements client.FieldIndexer.
func (m *playedManager) IndexField(_ context.Context, _ client.Object, field string, index client.IndexerFunc) error {
	m.op.indexes[field] = index
	return nil
}

// informers has the informers of an operator.
type informers struct {
	cache.Cache
	op *operator
}

// GetInformer implements cache.Informers.
func (c informers) GetInformer(_ context.Context, object client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	switch object := object.(type) {
	case *v1alpha1.CloudCertificate:
		return c.op.objects, nil
	case *v1alpha1.CloudCertificateBinding:
		return c.op.bindings, nil
	case *v1alpha1.CertificateTargetPolicy:
		return c.op.policies, nil
	case *metav1.PartialObjectMetadata:
		switch object.Kind {
		case "Namespace":
			return &informer{}, nil // nothing here goes by the labels of namespaces
		case "ConfigMap":
			return c.op.configMaps, nil
		case "Service":
			return c.op.services, nil
		}
	}
	return c.op.secrets, nil
}

// WaitForCacheSync implements cache.Informers.
func (informers) WaitForCacheSync(context.Context) bool { return true }
