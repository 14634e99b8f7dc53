{{/* What the controller's container is told. */}}

{{/* `k=v,k=v` of a map. */}}
{{- define "sealed-secrets.pairs" -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- $pairs = append $pairs (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{/* Whether a value was given; 0 is one. */}}
{{- define "sealed-secrets.given" -}}
{{- if not (or (kindIs "invalid" .) (eq (toString .) "")) -}}yes{{- end -}}
{{- end -}}

{{/* A number as it was written: Helm hands over large ones as floats. */}}
{{- define "sealed-secrets.number" -}}
{{- if kindIs "float64" . -}}{{- printf "%v" (ternary (int64 .) . (eq (float64 (int64 .)) .)) -}}{{- else -}}{{- . -}}{{- end -}}
{{- end -}}

{{- define "sealed-secrets.arguments" -}}
{{- $arguments := list
  (printf "--update-status=%t" .Values.updateStatus)
  (printf "--key-prefix=%s" .Values.secretName)
  (printf "--listen-addr=:%s" (include "sealed-secrets.number" .Values.containerPorts.http))
  (printf "--listen-metrics-addr=:%s" (include "sealed-secrets.number" .Values.containerPorts.metrics))
  (printf "--log-info-stdout=%t" .Values.logInfoStdout) -}}
{{- range $flag, $value := dict "skip-recreate" .Values.skipRecreate "watch-for-secrets" .Values.watchForSecrets -}}
{{- if $value -}}{{- $arguments = append $arguments (printf "--%s" $flag) -}}{{- end -}}
{{- end -}}
{{- if .Values.additionalNamespaces -}}
{{- $arguments = append $arguments (printf "--additional-namespaces=%s" (join "," .Values.additionalNamespaces)) -}}
{{- else if include "sealed-secrets.ownNamespaceOnly" . -}}
{{- $arguments = append $arguments "--all-namespaces=false" -}}
{{- end -}}
{{- if .Values.denySecretTypes -}}
{{- $arguments = append $arguments (printf "--deny-secret-types=%s" (join "," .Values.denySecretTypes)) -}}
{{- end -}}
{{- range $flag, $value := dict
  "key-renew-period" .Values.keyrenewperiod
  "key-ttl" .Values.keyttl
  "key-cutoff-time" .Values.keycutofftime
  "rate-limit" .Values.rateLimit
  "rate-limit-burst" .Values.rateLimitBurst
  "privatekey-annotations" (include "sealed-secrets.pairs" .Values.privateKeyAnnotations)
  "privatekey-labels" (include "sealed-secrets.pairs" .Values.privateKeyLabels)
  "log-level" .Values.logLevel
  "log-format" .Values.logFormat
  "max-unseal-retries" .Values.maxRetries
  "kubeclient-qps" .Values.kubeClientQPS
  "kubeclient-burst" .Values.kubeClientBurst -}}
{{- if include "sealed-secrets.given" $value -}}
{{- $arguments = append $arguments (printf "--%s=%s" $flag (include "sealed-secrets.number" $value)) -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat (.Values.args | default $arguments) (.Values.extraArgs | default list)) -}}
{{- end -}}

{{/* Whether the rights are those of Roles and no further namespace is named: then only the controller's own is watched. */}}
{{- define "sealed-secrets.ownNamespaceOnly" -}}
{{- if and .Values.rbac.namespacedRoles (not .Values.rbac.clusterRole) (not .Values.additionalNamespaces) -}}yes{{- end -}}
{{- end -}}

{{/* A probe. Takes a dict: probe, custom, path. */}}
{{- define "sealed-secrets.probe" -}}
{{- if .custom -}}
{{- toYaml .custom -}}
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
{{ toYaml (omit .probe "enabled") }}
{{- end -}}
{{- end -}}

{{/* The Pod's spread, with the Pods of this release where a constraint names none. */}}
{{- define "sealed-secrets.spread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "sealed-secrets.selector" . | fromYaml)) -}}
{{- $constraints := list -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $constraints = append $constraints (merge (deepCopy .) $own) -}}
{{- end -}}
{{- toYaml $constraints -}}
{{- end -}}
