// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"fmt"
	"slices"
	"time"
)

// rival is somebody else who keeps a listener as he wants it: the cloud controller manager of
// a cluster, or the ALB Ingress controller.
type rival struct {
	every  time.Duration
	next   time.Time
	wanted served
}

// rivalActs lets a rival act whose time has come before now, and reports whether it did. While
// the listener is being changed he waits.
func (l *listener) rivalActs(now time.Time) bool {
	r := l.rival
	if r == nil || now.Before(r.next) || l.job != nil {
		return false
	}
	at := r.next
	r.next = r.next.Add(r.every)
	if last := l.shown.now(); !last.same(r.wanted) {
		l.shown.set(at, r.wanted)
	}
	return true
}

func (s served) same(other served) bool {
	return s.Status == other.Status && s.Default == other.Default && slices.Equal(s.Additional, other.Additional)
}

// Rival makes somebody put a listener back to the given certificates, now and then every so
// often, as the cloud controller manager and the ALB Ingress controller do: what is not
// theirs is dissociated. A duration of 0 ends it.
func (c *Cloud) Rival(listenerID, defaultID string, additionalIDs []string, every time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listeners[listenerID]
	if l == nil {
		return fmt.Errorf("no listener %q", listenerID)
	}
	l.settle(c.now())
	l.rival = nil
	if every > 0 {
		wanted := served{Status: statusRunning, Default: defaultID}.with(associated, additionalIDs...)
		l.rival = &rival{every: every, next: c.now(), wanted: wanted}
	}
	return nil
}

// Put sets what a listener serves at once, as a person in the console would: an empty default
// keeps the one that is there. It fails while the listener is being changed, as the console
// does.
func (c *Cloud) Put(listenerID, defaultID string, additionalIDs []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listeners[listenerID]
	if l == nil {
		return fmt.Errorf("no listener %q", listenerID)
	}
	last := l.settle(c.now())
	if last.Status != statusRunning {
		return fmt.Errorf("listener %q is %s", listenerID, last.Status)
	}
	if defaultID == "" {
		defaultID = last.Default
	}
	l.shown.set(c.now(), served{Status: statusRunning, Default: defaultID}.with(associated, additionalIDs...))
	return nil
}

// SetStatus gives a listener a status for good: Stopped, Provisioning. Running ends that.
func (c *Cloud) SetStatus(listenerID, status string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listeners[listenerID]
	if l == nil {
		return fmt.Errorf("no listener %q", listenerID)
	}
	last := l.settle(c.now())
	last.Status = status
	l.job = nil
	l.shown.set(c.now(), last)
	return nil
}

// FailJobs makes the next changes of a listener come to nothing: they are accepted, and end
// with what was there before.
func (c *Cloud) FailJobs(listenerID string, count int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listeners[listenerID]
	if l == nil {
		return fmt.Errorf("no listener %q", listenerID)
	}
	l.failing = count
	return nil
}
