{{/* Arguments and environment of the controller's container. */}}

{{/* `k=v,k=v` of a map. */}}
{{- define "sealed-secrets.pairs" -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- $pairs = append $pairs (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{/* Returns "yes" if a value was given; 0 counts as given. */}}
{{- define "sealed-secrets.given" -}}
{{- if not (or (kindIs "invalid" .) (eq (toString .) "")) -}}yes{{- end -}}
{{- end -}}

{{/* A number as it was written: Helm passes large numbers as floats. */}}
{{- define "sealed-secrets.number" -}}
{{- if kindIs "float64" . -}}{{- printf "%v" (ternary (int64 .) . (eq (float64 (int64 .)) .)) -}}{{- else -}}{{- . -}}{{- end -}}
{{- end -}}

{{/* Whether a leader is elected. */}}
{{- define "sealed-secrets.elects" -}}
{{- if include "sealed-secrets.given" .Values.leaderElection.enabled -}}
{{- if .Values.leaderElection.enabled -}}yes{{- end -}}
{{- else if gt (int .Values.replicaCount) 1 -}}yes{{- end -}}
{{- end -}}

{{/* The update strategy. Where a leader is elected, or there are several replicas, the other replicas serve meanwhile. */}}
{{- define "sealed-secrets.strategy" -}}
{{- $rolling := dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" 1 "maxUnavailable" 0) -}}
{{- $others := or (include "sealed-secrets.elects" .) (gt (int .Values.replicaCount) 1) -}}
{{- $default := ternary $rolling (dict "type" "Recreate") (not (empty $others)) -}}
{{- toYaml (.Values.updateStrategy | default $default) -}}
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
{{- if include "sealed-secrets.elects" . -}}
{{- $arguments = concat $arguments (list "--leader-elect" (printf "--leader-elect-resource-name=%s" (include "sealed-secrets.fullname" .))) -}}
{{- with .Values.leaderElection.leaseDuration -}}
{{- $arguments = append $arguments (printf "--leader-elect-lease-duration=%s" .) -}}
{{- end -}}
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

{{/* Returns "yes" if the permissions are those of Roles and no further namespace is named: the controller then watches its own namespace only. */}}
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

{{/* Topology spread constraints, with the Pods of this release if a constraint has no selector. */}}
{{- define "sealed-secrets.spread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "sealed-secrets.selector" . | fromYaml)) -}}
{{- $constraints := list -}}
{{- $given := .Values.topologySpreadConstraints -}}
{{- if and (not $given) (include "sealed-secrets.elects" .) -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $given = append ($given | default list) (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- end -}}
{{- range $given -}}
{{- $constraints = append $constraints (merge (deepCopy .) $own) -}}
{{- end -}}
{{- with $constraints -}}{{- toYaml . -}}{{- end -}}
{{- end -}}
