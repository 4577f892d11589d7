// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "context"

const prometheusModule = "hack/prometheus"

var prometheusTargets = []target{
	{"github.com/prometheus/prometheus/cmd/prometheus", "prometheus"},
	{"github.com/prometheus/prometheus/cmd/promtool", "promtool"},
}

// prometheus obtains the folder of prometheus and promtool.
func prometheus(ctx context.Context) (string, error) {
	s, err := newStore("prometheus", prometheusModule, prometheusTargets, "hack/assets/prometheus.go")
	if err != nil {
		return "", err
	}
	// Tests name what is scraped: the clients of thirty clouds would be most of the build.
	flags := []string{"-ldflags=-s -w", "-tags=remove_all_sd"}
	return s.obtain(ctx, func(ctx context.Context, dir string) error {
		for _, t := range prometheusTargets {
			if err := buildOne(ctx, s.log, prometheusModule, dir, t, flags); err != nil {
				return err
			}
		}
		return nil
	})
}
