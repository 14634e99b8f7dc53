{{/* The names of the CRDs that belong to the release. */}}
{{- define "sealed-secrets.crds" -}}
- sealedsecrets.bitnami.com
{{- if .Values.crds.rotation }}
- sealingkeys.sealedsecrets.rs
- sealingkeypolicies.sealedsecrets.rs
{{- end }}
{{- end -}}

{{/*
Returns "yes" for a CRD in the cluster that has another owner. Helm would refuse the whole release because of it, so the CRD is left
unchanged unless `crds.adopt` is set. Takes a list: the CRD's name, the context.
*/}}
{{- define "sealed-secrets.foreign" -}}
{{- $root := index . 1 -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (index . 0) -}}
{{- if and $found (not $root.Values.crds.adopt) -}}
{{- $annotations := $found.metadata.annotations | default dict -}}
{{- $owner := printf "%s/%s" (index $annotations "meta.helm.sh/release-namespace") (index $annotations "meta.helm.sh/release-name") -}}
{{- if ne $owner (printf "%s/%s" $root.Release.Namespace $root.Release.Name) -}}yes{{- end -}}
{{- end -}}
{{- end -}}
