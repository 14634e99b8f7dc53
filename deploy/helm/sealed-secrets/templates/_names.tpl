{{/* Names, labels and annotations. */}}

{{- define "sealed-secrets.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the Deployment and the Service. */}}
{{- define "sealed-secrets.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $own | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sealed-secrets.namespace" -}}
{{- .Values.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "sealed-secrets.serviceAccountName" -}}
{{- $own := ternary (include "sealed-secrets.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end -}}

{{- define "sealed-secrets.image" -}}
{{- with .Values.image -}}
{{- $repository := ternary (printf "%s/%s" .registry .repository) .repository (not (empty .registry)) -}}
{{- ternary (printf "%s@%s" $repository .digest) (printf "%s:%s" $repository (.tag | default $.Chart.AppVersion)) (not (empty .digest)) -}}
{{- end -}}
{{- end -}}

{{/* A value that may contain templates, as YAML. Takes a list: the value, the context. */}}
{{- define "sealed-secrets.render" -}}
{{- $value := index . 0 -}}
{{- tpl (ternary $value (toYaml $value) (kindIs "string" $value)) (index . 1) -}}
{{- end -}}

{{/* The labels by which Services find the Pods. They are the original's, and can never change. */}}
{{- define "sealed-secrets.selector" -}}
app.kubernetes.io/name: {{ include "sealed-secrets.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of an object. Takes a list: the context, then maps of further labels; the first map with a label takes precedence. */}}
{{- define "sealed-secrets.labels" -}}
{{- $root := first . -}}
{{- $labels := include "sealed-secrets.selector" $root | fromYaml -}}
{{- range append (rest .) $root.Values.commonLabels -}}
{{- $labels = merge $labels (include "sealed-secrets.render" (list (. | default dict) $root) | fromYaml) -}}
{{- end -}}
{{- $labels = merge $labels (dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/part-of" "sealed-secrets") -}}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- end -}}

{{/* The annotations of an object, if any. Takes the same list as the labels. */}}
{{- define "sealed-secrets.annotations" -}}
{{- $root := first . -}}
{{- $annotations := dict -}}
{{- range append (rest .) $root.Values.commonAnnotations -}}
{{- $annotations = merge $annotations (include "sealed-secrets.render" (list (. | default dict) $root) | fromYaml) -}}
{{- end -}}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Name, labels and annotations of an object. Takes a dict: root, name, namespace, labels, annotations. */}}
{{- define "sealed-secrets.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
{{ include "sealed-secrets.labels" (prepend (.labels | default list) .root) }}
{{- include "sealed-secrets.annotations" (prepend (.annotations | default list) .root) }}
{{- end -}}
