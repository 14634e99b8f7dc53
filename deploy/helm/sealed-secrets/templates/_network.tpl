{{/* Egress rules for the API server: from the values, else from the Service `kubernetes` of the cluster. Empty if neither gives an address. */}}
{{- define "sealed-secrets.apiServer" -}}
{{- $given := .Values.networkPolicy.egress -}}
{{- $rules := list -}}
{{- if and $given.kubeapiCidr $given.kubeapiPort -}}
{{- $rules = append $rules (dict "to" (list (dict "ipBlock" (dict "cidr" $given.kubeapiCidr))) "ports" (list (dict "port" (int $given.kubeapiPort) "protocol" "TCP"))) -}}
{{- else -}}
{{- $service := lookup "v1" "Service" "default" "kubernetes" -}}
{{- $endpoints := lookup "v1" "Endpoints" "default" "kubernetes" -}}
{{- range $subset := ($endpoints.subsets | default list) -}}
{{- $blocks := list -}}
{{- range $subset.addresses -}}
{{- $blocks = append $blocks (dict "ipBlock" (dict "cidr" (include "sealed-secrets.single" .ip))) -}}
{{- end -}}
{{- if $given.kubeapiCidr -}}{{- $blocks = list (dict "ipBlock" (dict "cidr" $given.kubeapiCidr)) -}}{{- end -}}
{{- $ports := list -}}
{{- range $subset.ports -}}
{{- $ports = append $ports (dict "port" (int ($given.kubeapiPort | default .port)) "protocol" "TCP") -}}
{{- end -}}
{{- if and $blocks $ports -}}{{- $rules = append $rules (dict "to" $blocks "ports" $ports) -}}{{- end -}}
{{- end -}}
{{- /* Some networks apply policies before they translate the Service's address. */ -}}
{{- if and $rules $service (not $given.kubeapiCidr) (not $given.kubeapiPort) -}}
{{- $rules = append $rules (dict "to" (list (dict "ipBlock" (dict "cidr" (include "sealed-secrets.single" $service.spec.clusterIP)))) "ports" (list (dict "port" 443 "protocol" "TCP"))) -}}
{{- end -}}
{{- end -}}
{{- with $rules -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{/* The network of a single address. */}}
{{- define "sealed-secrets.single" -}}
{{- . -}}/{{- ternary "128" "32" (contains ":" .) -}}
{{- end -}}
