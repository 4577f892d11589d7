// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// Family is one metric with a series for each row, which is an object and what is known of it.
type Family[R Row] struct {
	Name, Help string
	// Value returns the value of a row, and whether it has one.
	Value func(R) (value int64, ok bool)
	// Reason reports whether the reason of Ready is a label.
	Reason bool
}

// Row is an object as its series show it.
type Row interface {
	GetNamespace() string
	GetName() string
	// Reason is that of the condition Ready.
	Reason() string
}

// Write writes families of gauges in Prometheus' text format. The series of single objects are
// written apart from Prometheus' registry: of thirty thousand objects it would make some hundred
// megabytes for each scrape.
func Write[R Row](to io.Writer, families []Family[R], rows []R) error {
	w := bufio.NewWriterSize(to, 32<<10)
	var line []byte
	for _, m := range families {
		_, _ = w.WriteString("# HELP " + m.Name + " " + m.Help + "\n# TYPE " + m.Name + " gauge\n") // Flush has the error
		for _, r := range rows {
			value, ok := m.Value(r)
			if !ok {
				continue
			}
			line = m.appendLabels(append(line[:0], m.Name...), r)
			line = append(strconv.AppendInt(append(line, ' '), value, 10), '\n')
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

func (m Family[R]) appendLabels(line []byte, r R) []byte {
	line = appendLabel(append(line, '{'), "namespace", r.GetNamespace())
	line = appendLabel(append(line, ','), "name", r.GetName())
	if m.Reason {
		line = appendLabel(append(line, ','), "reason", r.Reason())
	}
	return append(line, '}')
}

// escaper escapes a label's value. The API server takes no such character in any of ours.
var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func appendLabel(line []byte, name, value string) []byte {
	line = append(append(line, name...), `="`...)
	return append(append(line, escaper.Replace(value)...), '"')
}

// OneIf is the value of what is so or not.
func OneIf(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// ReasonUnknown stands for objects that have no condition yet.
const ReasonUnknown = "Unknown"

// ReadyOf returns the condition Ready among some, and its reason, Unknown where there is none.
func ReadyOf(conditions []metav1.Condition) (*metav1.Condition, string) {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason == "" {
		return ready, ReasonUnknown
	}
	return ready, ready.Reason
}

// IsTrue reports whether a condition is there and True.
func IsTrue(c *metav1.Condition) bool { return c != nil && c.Status == metav1.ConditionTrue }
