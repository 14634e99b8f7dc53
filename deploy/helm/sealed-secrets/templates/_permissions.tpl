{{/* The permissions of the controller. */}}

{{/* In every namespace whose SealedSecrets it decrypts. */}}
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

{{/* The Lease of the leader election. The permission to create has no names. */}}
{{- define "sealed-secrets.election.rules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "sealed-secrets.fullname" . }}]
  verbs: [get, list, watch, update]
{{- end -}}

{{/* Roles for users, by the last part of the role's name. None permits creating or deleting SealingKeys, or writing the status of either kind. */}}
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
