{{/* Converts a budget's number or percentage to a number of replicas, rounded up as by Kubernetes. Takes a list: the value, the replicas. */}}
{{- define "sealed-secrets.share" -}}
{{- $share := toString (index . 0) -}}
{{- if hasSuffix "%" $share -}}
{{- div (add (mul (trimSuffix "%" $share | int) (index . 1)) 99) 100 -}}
{{- else -}}
{{- $share -}}
{{- end -}}
{{- end -}}

{{/* Returns "yes" for a list of RBAC subjects. Takes it as YAML. */}}
{{- define "sealed-secrets.areSubjects" -}}
{{- $subjects := fromYamlArray . -}}
{{- $good := list -}}
{{- range $subjects -}}
{{- if kindIs "map" . -}}{{- if and .kind .name -}}{{- $good = append $good . -}}{{- end -}}{{- end -}}
{{- end -}}
{{- if and $subjects (eq (len $subjects) (len $good)) -}}yes{{- end -}}
{{- end -}}

{{/* Lists values that contradict each other, each as one sentence that begins with its path. */}}
{{- define "sealed-secrets.contradictions" -}}
{{- $problems := list -}}
{{- if and .Values.kubeVersion (semverCompare "<1.25-0" .Values.kubeVersion) -}}
{{- $problems = append $problems (printf "kubeVersion: %s is too old, 1.25 or newer is needed" .Values.kubeVersion) -}}
{{- end -}}
{{- if and (gt (int .Values.replicaCount) 1) (eq (.Values.updateStrategy.type | default "") "Recreate") -}}
{{- $problems = append $problems "updateStrategy.type: Recreate would end all replicas before a new one starts; leave updateStrategy empty" -}}
{{- end -}}
{{- if include "sealed-secrets.elects" . -}}
{{- with .Values.leaderElection.leaseDuration -}}
{{- $seconds := 0 -}}
{{- range $part := regexFindAll "[0-9]+[sm]" . -1 -}}
{{- $number := trimSuffix "s" (trimSuffix "m" $part) | int -}}
{{- $seconds = add $seconds (ternary (mul 60 $number) $number (hasSuffix "m" $part)) -}}
{{- end -}}
{{- if or (lt $seconds 5) (gt $seconds 600) -}}
{{- $problems = append $problems (printf "leaderElection.leaseDuration: %s is not from 5s to 10m" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.pdb -}}
{{- $minimum := include "sealed-secrets.given" .minAvailable -}}
{{- $maximum := include "sealed-secrets.given" .maxUnavailable -}}
{{- if and .create $minimum $maximum -}}
{{- $problems = append $problems "pdb.minAvailable, pdb.maxUnavailable: a PodDisruptionBudget has one of them" -}}
{{- else if and .create $minimum (ge (include "sealed-secrets.share" (list .minAvailable $.Values.replicaCount) | int) (int $.Values.replicaCount)) -}}
{{- $problems = append $problems (printf "pdb.minAvailable: %v of %v replicas would prevent every drain of a node; leave it empty, or raise replicaCount" .minAvailable $.Values.replicaCount) -}}
{{- else if and .create $maximum (has (toString .maxUnavailable) (list "0" "0%")) -}}
{{- $problems = append $problems (printf "pdb.maxUnavailable: %v would prevent every drain of a node; set 1" .maxUnavailable) -}}
{{- end -}}
{{- end -}}
{{- with .Values.rbac -}}
{{- if .pspEnabled -}}
{{- $problems = append $problems "rbac.pspEnabled: Kubernetes has had no PodSecurityPolicy since 1.25; set it to false, the Pods satisfy the Pod Security Standard `restricted`" -}}
{{- end -}}
{{- if and .create (not $.Values.serviceAccount.create) (not $.Values.serviceAccount.name) -}}
{{- $problems = append $problems "serviceAccount.name: with serviceAccount.create=false the permissions would go to every Pod of the namespace; name an account (`default`, if that is what you want)" -}}
{{- end -}}
{{- if and .create .serviceProxier.create .serviceProxier.bind (not (include "sealed-secrets.areSubjects" (include "sealed-secrets.render" (list .serviceProxier.subjects $)))) -}}
{{- $problems = append $problems "rbac.serviceProxier.subjects: must be a list of RBAC subjects, each with kind and name; to create no binding, set rbac.serviceProxier.bind to false" -}}
{{- end -}}
{{- end -}}
{{- range $path, $service := dict "service" .Values.service "metrics.service" .Values.metrics.service -}}
{{- if and $service.nodePort (eq $service.type "ClusterIP") -}}
{{- $problems = append $problems (printf "%s.nodePort: a Service of type ClusterIP has none; set %s.type to NodePort or LoadBalancer" $path $path) -}}
{{- end -}}
{{- if and $service.loadBalancerClass (ne $service.type "LoadBalancer") -}}
{{- $problems = append $problems (printf "%s.loadBalancerClass: only a Service of type LoadBalancer has one; this is %s" $path $service.type) -}}
{{- end -}}
{{- end -}}
{{- with .Values.containerPorts -}}
{{- if eq (int .http) (int .metrics) -}}
{{- $problems = append $problems (printf "containerPorts.metrics: %v is containerPorts.http, too" .metrics) -}}
{{- end -}}
{{- end -}}
{{- if .Values.hostNetwork -}}
{{- range $name, $port := .Values.hostPorts -}}
{{- if and $port (ne (int $port) (int (index $.Values.containerPorts $name))) -}}
{{- $problems = append $problems (printf "hostPorts.%s: with hostNetwork it is containerPorts.%s, which is %v" $name $name (index $.Values.containerPorts $name)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $problems = append $problems "networkPolicy.enabled: a NetworkPolicy has no effect on Pods in the host's network (hostNetwork)" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled (not (include "sealed-secrets.apiServer" .)) -}}
{{- $problems = append $problems "networkPolicy.egress.kubeapiCidr, networkPolicy.egress.kubeapiPort: both are needed where Helm cannot ask a cluster; without them the controller would reach nothing" -}}
{{- end -}}
{{- with .Values.ingress -}}
{{- if and .enabled .selfSigned (not .tls) -}}
{{- $problems = append $problems "ingress.selfSigned: has no effect without ingress.tls" -}}
{{- end -}}
{{- end -}}
{{- if .Values.rotation.policy -}}
{{- if not .Values.crds.rotation -}}
{{- $problems = append $problems "rotation.policy: needs crds.rotation" -}}
{{- /* Checked last, because users who install no CRDs may lack the permission to look up a namespace. Helm itself reports a missing CRD. */ -}}
{{- else if and .Values.crds.create (not (.Capabilities.APIVersions.Has "sealedsecrets.rs/v1alpha1/SealingKeyPolicy")) (lookup "v1" "Namespace" "" "kube-system") -}}
{{- $problems = append $problems "rotation.policy: the CRD SealingKeyPolicy is not in the cluster yet; install without a policy, then set it with `helm upgrade`" -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}
