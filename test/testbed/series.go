// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// SeriesByObject reads metrics in Prometheus' text format that have a series for each object, and
// returns by the name of the object its reason and values, in the order of the metrics. Their names
// are shortened by the prefix, and by the unit of a time. Any other namespace is an error.
func SeriesByObject(text io.Reader, namespace, prefix string, metrics []string) (map[string]string, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, metric := range metrics {
		short := strings.TrimSuffix(strings.TrimPrefix(metric, prefix), "_timestamp_seconds")
		for _, m := range parsed[metric].GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] != namespace {
				return nil, fmt.Errorf("%s has labels %v", metric, labels)
			}
			found[labels["name"]] += labels["reason"] + fmt.Sprintf(" %s=%.0f", short, m.GetGauge().GetValue())
		}
	}
	return found, nil
}
