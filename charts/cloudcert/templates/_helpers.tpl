{{/*
Copyright The cloudcert Authors.
SPDX-License-Identifier: Apache-2.0
*/}}

{{- define "cloudcert.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "cloudcert.fullname" -}}
{{- $name := include "cloudcert.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name with a suffix, which survives when the whole gets too long. */}}
{{- define "cloudcert.suffixed" -}}
{{- $room := sub 62 (len .suffix) | int -}}
{{- printf "%s-%s" (include "cloudcert.fullname" .root | trunc $room | trimSuffix "-") .suffix -}}
{{- end -}}

{{/* Name of what lies outside the release's namespace: releases in two namespaces may share theirs. */}}
{{- define "cloudcert.outsideName" -}}
{{- printf "%s:%s" .Release.Namespace (include "cloudcert.fullname" .) -}}
{{- end -}}

{{/* The same for kinds whose names take no colon; a namespace's has no dot. */}}
{{- define "cloudcert.policyName" -}}
{{- printf "%s.%s" .Release.Namespace (include "cloudcert.fullname" .) -}}
{{- end -}}

{{- define "cloudcert.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "cloudcert.fullname" .) -}}
{{- end -}}

{{- define "cloudcert.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cloudcert.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cloudcert.chartLabels" -}}
{{ include "cloudcert.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/*
Labels and annotations of an object: those of the chart, of the object's own
values, and the common ones; the first wins. Takes root, labels, annotations.
*/}}
{{- define "cloudcert.metadata" -}}
labels:
  {{- merge (dict) (include "cloudcert.chartLabels" .root | fromYaml) (.labels | default dict) (.root.Values.commonLabels | default dict) | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "cloudcert.subject" -}}
kind: ServiceAccount
name: {{ include "cloudcert.serviceAccountName" . }}
namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "cloudcert.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/*
How metrics are served: "off", "https", or "loopback" where nobody grants the
right to check who reads them.
*/}}
{{- define "cloudcert.metricsMode" -}}
{{- if not .Values.metrics.enabled -}}
off
{{- else if and .Values.watchNamespaces (eq .Values.metrics.rbac "auto") -}}
loopback
{{- else -}}
https
{{- end -}}
{{- end -}}

{{/*
Whether the admission policy is part of the release: "on", "off", or "left out" where
nobody asked for an object of the whole cluster. Anything but true and false is auto:
helm upgrade --reuse-values leaves the key out.
*/}}
{{- define "cloudcert.admissionPolicyMode" -}}
{{- $enabled := toString (.Values.admissionPolicy).enabled -}}
{{- if eq $enabled "false" -}}
off
{{- else if and .Values.watchNamespaces (ne $enabled "true") -}}
left out
{{- else -}}
on
{{- end -}}
{{- end -}}

{{/* What the operator does with objects, in all namespaces or in those that it watches. */}}
{{- define "cloudcert.rules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
- apiGroups: [cloudcert.io]
  resources: [cloudcertificates]
  verbs: [get, list, patch, watch]
- apiGroups: [cloudcert.io]
  resources: [cloudcertificates/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/*
Memory in bytes that Go's garbage collector tries to keep to: four fifths of the
container's limit, because the limit counts more than what Go manages. Empty without
a limit, and where extraEnv says what it should be.
*/}}
{{- define "cloudcert.goMemoryLimit" -}}
{{- $limit := ((.Values.resources).limits).memory | toString -}}
{{- $number := regexFind "^[0-9.]+([eE][+-]?[0-9]+)?" $limit -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := get $units (trimPrefix $number $limit) -}}
{{- $own := false -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "GOMEMLIMIT" -}}
{{- $own = true -}}
{{- end -}}
{{- end -}}
{{- if and $number $unit (not $own) -}}
{{- mulf (float64 $number) $unit 0.8 | floor | int64 | default "" -}}
{{- end -}}
{{- end -}}
