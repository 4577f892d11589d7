// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// cachedClient is what one operator sees: reads from a cache that may be behind, writes
// to the API server.
type cachedClient struct {
	client.Client
	op *operator
}

func (c cachedClient) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch into := into.(type) {
	case *v1alpha1.CloudCertificate:
		if object := c.op.object(key); object != nil {
			object.DeepCopyInto(into)
			return nil
		}
	case *v1alpha1.CloudCertificateBinding:
		if object, ok := c.op.bindings.seen[key].(*v1alpha1.CloudCertificateBinding); ok {
			object.DeepCopyInto(into)
			return nil
		}
	case *metav1.PartialObjectMetadata:
		if secret := c.op.secrets.seen[key]; secret != nil {
			secret.(*metav1.PartialObjectMetadata).DeepCopyInto(into)
			return nil
		}
	default:
		return fmt.Errorf("%T is not cached", into)
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (c cachedClient) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	switch into := into.(type) {
	case *v1alpha1.CloudCertificateBindingList:
		for _, object := range c.list(c.op.bindings, options) {
			into.Items = append(into.Items, *object.(*v1alpha1.CloudCertificateBinding))
		}
	case *v1alpha1.CertificateTargetPolicyList:
		for _, object := range c.list(c.op.policies, options) {
			into.Items = append(into.Items, *object.(*v1alpha1.CertificateTargetPolicy))
		}
	case *v1alpha1.CloudCertificateList:
		for _, object := range c.list(c.op.objects, options) {
			into.Items = append(into.Items, *object.(*v1alpha1.CloudCertificate))
		}
	default:
		return fmt.Errorf("%T is not cached", into)
	}
	return nil
}

// list returns what an informer has seen, of a namespace and by an index if they are asked for.
func (c cachedClient) list(from *informer, options []client.ListOption) (found []client.Object) {
	o := &client.ListOptions{}
	o.ApplyOptions(options)
	for _, key := range sortedKeys(from.seen) {
		if o.Namespace != "" && o.Namespace != key.Namespace {
			continue
		}
		if o.FieldSelector != nil {
			wanted := o.FieldSelector.Requirements()[0]
			if !slices.Contains(c.op.indexes[wanted.Field](from.seen[key]), wanted.Value) {
				continue
			}
		}
		found = append(found, from.seen[key])
	}
	return found
}

func (c cachedClient) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	switch object.(type) {
	case *corev1.Service, *unstructured.Unstructured:
		return c.patchObject(object, patch)
	}
	return c.write("kube finalizer", object, patch, false, true)
}

func (c cachedClient) Status() client.SubResourceWriter { return statusWriter{c: c} }

// write is one write to the API server: it may fail, or the operator may be killed
// before or after it.
func (c cachedClient) write(what string, object client.Object, patch client.Patch, status, strict bool) error {
	before, after := c.op.step(what)
	if before != nil {
		return before
	}
	if c.op.world.unlocked {
		patch = withoutLock{patch}
	}
	if err := c.op.world.api.patchAny(object, patch, status, strict); err != nil {
		return err
	}
	return after
}

// Apply implements client.Client, for ConfigMaps.
func (c cachedClient) Apply(_ context.Context, applied runtime.ApplyConfiguration, options ...client.ApplyOption) error {
	o := &client.ApplyOptions{}
	o.ApplyOptions(options)
	object := &corev1.ConfigMap{}
	decodeInto(applied, object)
	if c.op.world.overwrites == "ConfigMap" {
		object.ResourceVersion, object.UID, o.Force = "", "", new(true)
	}
	return c.writeObject("ConfigMap "+object.Name, func() error {
		return c.op.world.api.apply(o.FieldManager, o.Force != nil && *o.Force, object)
	})
}

// patchObject is a patch of a Service or an AlbConfig.
func (c cachedClient) patchObject(object client.Object, patch client.Patch) error {
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	w, key := c.op.world, client.ObjectKeyFromObject(object)
	if _, ok := object.(*corev1.Service); ok {
		if w.overwrites == "Service" {
			data = unlockedMerge(data)
		}
		return c.writeObject("Service "+key.Name, func() error { return w.api.patchService(key, data) })
	}
	if w.overwrites == "AlbConfig" {
		data = withoutTests(data)
	}
	return c.writeObject("AlbConfig "+key.Name, func() error { return w.api.patchALBConfig(key.Name, data) })
}

// writeObject is one write to an object that certificates are carried to.
func (c cachedClient) writeObject(what string, write func() error) error {
	before, after := c.op.step("kube object " + what)
	if before != nil {
		return before
	}
	c.op.world.writes++
	if err := write(); err != nil {
		return err
	}
	c.op.world.watchProducts()
	return after
}

// withoutLock is a patch that overwrites what others wrote.
type withoutLock struct{ client.Patch }

func (p withoutLock) Data(object client.Object) ([]byte, error) {
	data, err := p.Patch.Data(object)
	if err != nil {
		return nil, err
	}
	return unlockedMerge(data), nil
}

// unlockedMerge is a merge patch for whatever version there is.
func unlockedMerge(data []byte) []byte {
	unlocked, err := jsonpatch.MergePatch(data, []byte(`{"metadata":{"resourceVersion":null}}`))
	if err != nil {
		panic(err)
	}
	return unlocked
}

// withoutTests is a JSON patch that tests nothing.
func withoutTests(data []byte) []byte {
	var all []map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		panic(err)
	}
	return encode(slices.DeleteFunc(all, func(operation map[string]any) bool { return operation["op"] == "test" }))
}

type statusWriter struct {
	client.SubResourceWriter
	c cachedClient
}

// Patch implements client.SubResourceWriter. As the manager's client, it is strict where
// nothing else is asked for.
func (s statusWriter) Patch(_ context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	o := &client.SubResourcePatchOptions{}
	o.FieldValidation = metav1.FieldValidationStrict
	o.ApplyOptions(options)
	return s.c.write("kube status", object, patch, true, o.FieldValidation == metav1.FieldValidationStrict)
}

// liveReader reads from the API server.
type liveReader struct {
	client.Reader
	op *operator
}

func (l liveReader) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if err := l.op.read(); err != nil {
		return err
	}
	switch into := into.(type) {
	case *v1alpha1.CloudCertificate:
		if object := l.op.world.api.objects[key]; object != nil {
			object.DeepCopyInto(into)
			return nil
		}
	case *v1alpha1.CloudCertificateBinding:
		if object := l.op.world.api.bindings[key]; object != nil {
			object.DeepCopyInto(into)
			return nil
		}
	case *corev1.Secret:
		if secret := l.op.world.api.secrets[key]; secret != nil {
			secret.DeepCopyInto(into)
			return nil
		}
	case *corev1.Service:
		if object := l.op.world.api.services[key]; object != nil {
			object.DeepCopyInto(into)
			return nil
		}
	case *unstructured.Unstructured:
		if object := l.op.world.api.albConfigs[key]; object != nil {
			object.DeepCopyInto(into)
			return nil
		}
	case *corev1.ConfigMap:
		if object := l.op.world.api.configMaps[key]; object != nil {
			object.DeepCopyInto(into)
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

// List implements client.Reader, for bindings of one namespace, and nodes, of which there is one.
func (l liveReader) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	if err := l.op.read(); err != nil {
		return err
	}
	if nodes, ok := into.(*metav1.PartialObjectMetadataList); ok {
		node := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{corev1.LabelTopologyRegion: albRegion}}}
		nodes.Items = append(nodes.Items, node)
		return nil
	}
	o := &client.ListOptions{}
	o.ApplyOptions(options)
	list := into.(*v1alpha1.CloudCertificateBindingList)
	for _, key := range sortedKeys(l.op.world.api.bindings) {
		if key.Namespace == o.Namespace {
			list.Items = append(list.Items, *l.op.world.api.bindings[key])
		}
	}
	return nil
}
