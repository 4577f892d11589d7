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
{{- $targets := include "cloudcert.bindTargets" . | splitList "," }}
{{- if ne (first $targets) "" }}
- apiGroups: [cloudcert.io]
  resources: [cloudcertificatebindings]
  verbs: [get, list, patch, watch]
- apiGroups: [cloudcert.io]
  resources: [cloudcertificatebindings/status]
  verbs: [patch]
{{- end }}
{{- if or (has "configmap" $targets) (has "all" $targets) }}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, get, list, patch, watch] # a patch that makes one needs create
{{- end }}
{{- if or (has "service" $targets) (has "all" $targets) }}
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, patch, watch]
{{- end }}
{{- end -}}

{{/* What it does for bindings with what belongs to no namespace, also where it watches some only. */}}
{{- define "cloudcert.bindingClusterRules" -}}
- apiGroups: [cloudcert.io]
  resources: [certificatetargetpolicies]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [namespaces] # their labels, which policies select by
  verbs: [get, list, watch]
{{- $targets := include "cloudcert.bindTargets" . | splitList "," }}
{{- if or (has "service" $targets) (has "albconfig" $targets) (has "all" $targets) }}
- apiGroups: [""]
  resources: [nodes] # the label of their region, where the load balancers and the store of CLB are
  verbs: [list]
{{- end }}
{{- if or (has "albconfig" $targets) (has "all" $targets) }}
- apiGroups: [alibabacloud.com]
  resources: [albconfigs]
  verbs: [get, patch]
{{- end }}
{{- end -}}

{{/* Kinds of target that bindings may have, joined by commas; helm upgrade --reuse-values leaves the key out. */}}
{{- define "cloudcert.bindTargets" -}}
{{- join "," ((.Values.binding).targets | default list) -}}
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

{{/*
Fails where there are no metrics to speak of (what), or, with reached, none that somebody
outside of the pod can read.
*/}}
{{- define "cloudcert.requireMetrics" -}}
{{- $mode := include "cloudcert.metricsMode" .root -}}
{{- if eq $mode "off" -}}
{{- fail (printf "%s.enabled needs metrics.enabled" .what) -}}
{{- end -}}
{{- if and .reached (eq $mode "loopback") -}}
{{- fail (printf "%s.enabled: with watchNamespaces the metrics are on loopback alone, because checking who reads them takes a cluster-wide right. Set metrics.rbac to create to grant that right, or to existing if somebody else does" .what) -}}
{{- end -}}
{{- end -}}

{{/* Whether there are metrics of single objects; helm upgrade --reuse-values leaves the key out. */}}
{{- define "cloudcert.perObject" -}}
{{- ne (toString .Values.metrics.perObject) "false" -}}
{{- end -}}

{{/* Name of the ServiceAccount that a monitor reads the metrics as, and of the Secret with its token. */}}
{{- define "cloudcert.readerName" -}}
{{- include "cloudcert.suffixed" (dict "root" . "suffix" "metrics-reader") -}}
{{- end -}}

{{/*
Namespaces of the monitors that need such a ServiceAccount, as keys of a map.
*/}}
{{- define "cloudcert.readerNamespaces" -}}
{{- $namespaces := dict -}}
{{- range list .Values.metrics.serviceMonitor .Values.metrics.podMonitor -}}
{{- if and (.).enabled (not (.).authorization) -}}
{{- $namespaces = set $namespaces (.namespace | default $.Release.Namespace) true -}}
{{- end -}}
{{- end -}}
{{- $namespaces | toYaml -}}
{{- end -}}

{{/*
What ServiceMonitor and PodMonitor say of the endpoint alike. monitor: its values.
*/}}
{{- define "cloudcert.endpoint" -}}
{{- $root := .root -}}
{{- $namespace := .monitor.namespace | default $root.Release.Namespace -}}
{{- $secret := ($root.Values.metrics.tls).existingSecret -}}
{{- $tls := .monitor.tlsConfig -}}
{{- if and (not $tls) $secret -}}
{{- if ne $namespace $root.Release.Namespace -}}
{{- fail (printf "%s.tlsConfig: the Secret of metrics.tls.existingSecret is in another namespace than the monitor; say by which CA the metrics are to be checked" .what) -}}
{{- end -}}
{{- $server := printf "%s.%s.svc" (include "cloudcert.suffixed" (dict "root" $root "suffix" "metrics")) $root.Release.Namespace -}}
{{- $tls = dict "ca" (dict "secret" (dict "name" $secret "key" "ca.crt")) "serverName" $server -}}
{{- end -}}
{{- $reader := dict "type" "Bearer" "credentials" (dict "name" (include "cloudcert.readerName" $root) "key" "token") -}}
{{- $endpoint := dict "port" "metrics" "path" "/metrics" "scheme" "https" "honorLabels" (ne (toString .monitor.honorLabels) "false")
  "authorization" (.monitor.authorization | default $reader) "tlsConfig" ($tls | default (dict "insecureSkipVerify" true)) -}}
{{- $monitor := .monitor -}}
{{- range $field := list "interval" "scrapeTimeout" "relabelings" "metricRelabelings" -}}
{{- if index $monitor $field -}}
{{- $endpoint = set $endpoint $field (index $monitor $field) -}}
{{- end -}}
{{- end -}}
{{- merge (dict) (.monitor.endpointAdditionalProperties | default dict) $endpoint | toYaml -}}
{{- end -}}
