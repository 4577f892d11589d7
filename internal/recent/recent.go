// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package recent keeps what was used a short while ago, however much there is of it.
package recent

import "time"

// Map keeps the entries that were used last: at least size of them, and at most twice as many.
// Every operation takes the same short time. It is not safe for concurrent use.
//
// There are two generations. An entry that is used moves to the young one; when that is full,
// or a period old, it becomes the old one, whose entries nobody has used since are gone.
type Map[K comparable, V any] struct {
	size       int
	period     time.Duration // zero is for ever
	began      time.Time     // when the young generation began
	young, old map[K]V
}

// New makes a map. An entry that is not used for two periods gives way to the next that is
// entered, and so may one that is not used for one; a period of zero is for ever.
func New[K comparable, V any](size int, period time.Duration) *Map[K, V] {
	return &Map[K, V]{size: size, period: period, young: map[K]V{}}
}

// Get returns an entry, and counts as its use.
func (m *Map[K, V]) Get(key K, now time.Time) (V, bool) {
	if value, ok := m.young[key]; ok {
		return value, true
	}
	value, ok := m.old[key]
	if ok {
		m.put(key, value, now)
	}
	return value, ok
}

// Put enters or replaces an entry.
func (m *Map[K, V]) Put(key K, value V, now time.Time) {
	m.age(now)
	m.put(key, value, now)
}

func (m *Map[K, V]) put(key K, value V, now time.Time) {
	delete(m.old, key)
	if _, known := m.young[key]; !known && len(m.young) >= m.size {
		m.turn(now)
	}
	m.young[key] = value
}

// Delete takes an entry out.
func (m *Map[K, V]) Delete(key K) {
	delete(m.young, key)
	delete(m.old, key)
}

// Len is the number of entries.
func (m *Map[K, V]) Len() int { return len(m.young) + len(m.old) }

// age ends a generation that is a period old.
func (m *Map[K, V]) age(now time.Time) {
	if m.period == 0 || now.Sub(m.began) < m.period {
		return
	}
	late := now.Sub(m.began) >= 2*m.period
	m.turn(now)
	if late {
		m.old = nil // nothing was used for a whole period
	}
}

// turn begins a generation.
func (m *Map[K, V]) turn(now time.Time) {
	m.old, m.young, m.began = m.young, map[K]V{}, now
}
