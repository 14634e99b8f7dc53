{{/* The rights of the controller. */}}

{{/* In every namespace whose SealedSecrets it opens. */}}
{{- define "sealed-secrets.unsealer.rules" -}}
- apiGroups: [bitnami.com]
  resources: [sealedsecrets]
  verbs: [get, list, watch]
- apiGroups: [bitnami.com]
  resources: [sealedsecrets/status]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, create, update, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end -}}

{{/* In its own namespace, where the keys are. */}}
{{- define "sealed-secrets.keys.rules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, list, watch, update, delete]
{{- if .Values.crds.rotation }}
- apiGroups: [sealedsecrets.rs]
  resources: [sealingkeypolicies]
  verbs: [list, watch]
- apiGroups: [sealedsecrets.rs]
  resources: [sealingkeys]
  verbs: [list, watch, create, update, delete]
- apiGroups: [sealedsecrets.rs]
  resources: [sealingkeypolicies/status, sealingkeys/status]
  verbs: [update]
{{- end }}
{{- end -}}

{{/* For people, by the last part of the role's name. Nobody may create or delete SealingKeys, or write the status of either kind. */}}
{{- define "sealed-secrets.people.rules" -}}
key-viewer:
  - apiGroups: [sealedsecrets.rs]
    resources: [sealingkeys, sealingkeypolicies]
    verbs: [get, list, watch]
key-rotator:
  - apiGroups: [sealedsecrets.rs]
    resources: [sealingkeys]
    verbs: [get, list, watch]
  - apiGroups: [sealedsecrets.rs]
    resources: [sealingkeypolicies]
    verbs: [get, list, watch, patch, update]
key-revoker:
  - apiGroups: [sealedsecrets.rs]
    resources: [sealingkeys]
    verbs: [get, list, watch, patch]
  - apiGroups: [sealedsecrets.rs]
    resources: [sealingkeypolicies]
    verbs: [get, list, watch]
{{- end -}}

{{/* The controller's account as the subject of a binding. */}}
{{- define "sealed-secrets.subject" -}}
- kind: ServiceAccount
  name: {{ include "sealed-secrets.serviceAccountName" . }}
  namespace: {{ include "sealed-secrets.namespace" . }}
{{- end -}}
