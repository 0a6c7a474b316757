{{- define "distillex.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "distillex.fullname" -}}
{{- $full := printf "%s-%s" .Release.Name (include "distillex.name" .) }}
{{- if .Values.fullnameOverride }}
{{- $full = .Values.fullnameOverride }}
{{- else if contains (include "distillex.name" .) .Release.Name }}
{{- $full = .Release.Name }}
{{- end }}
{{- /* A Service's name begins with a letter, a release's need not. */}}
{{- regexReplaceAll "^([0-9])" $full "d$1" | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* Whether lexicons are pushed through the gate: by the operator, or by tenants. */}}
{{- define "distillex.pushed" -}}
{{- if or .Values.adminToken.existingSecret (and .Values.tenants.existingSecret (eq .Values.lexicons.volume "claim")) }}true{{ end }}
{{- end }}

{{- define "distillex.tenantArguments" -}}
- --tenants=/run/secrets/tenants/tenants.json
- --tenant-secret-file=/run/secrets/tenants/secret
{{- end }}

{{- define "distillex.tenantMount" -}}
- name: tenants
  mountPath: /run/secrets/tenants
  readOnly: true
{{- end }}

{{- define "distillex.tenantVolume" -}}
- name: tenants
  secret:
    secretName: {{ .Values.tenants.existingSecret | quote }}
    defaultMode: 0440
    items:
      - key: {{ .Values.tenants.tenantsKey | quote }}
        path: tenants.json
      - key: {{ .Values.tenants.secretKey | quote }}
        path: secret
{{- end }}

{{- define "distillex.release" -}}
app.kubernetes.io/name: {{ include "distillex.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Of a component: dict "component" NAME "root" . */}}
{{- define "distillex.selector" -}}
{{ include "distillex.release" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "distillex.labels" -}}
{{ include "distillex.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "distillex.image" -}}
{{- if .digest }}{{ printf "%s@%s" .repository .digest }}{{ else }}{{ printf "%s:%s" .repository .tag }}{{ end }}
{{- end }}

{{- define "distillex.serverImage" -}}
{{- include "distillex.image" (ternary .Values.images.cpu .Values.images.triton (eq .Values.server.runtime "embedded")) }}
{{- end }}

{{- define "distillex.tlsSecret" -}}
{{- $tls := .Values.gate.tls }}
{{- if and .Values.gate.insecure (or $tls.secretName $tls.clientCaSecretName $tls.issuer.name) }}
{{- fail "gate.insecure=true serves without TLS: it cannot be given with gate.tls.secretName, gate.tls.clientCaSecretName or gate.tls.issuer.name" }}
{{- end }}
{{- if and $tls.secretName $tls.issuer.name }}
{{- fail "gate.tls.secretName names a Secret that exists, gate.tls.issuer.name lets cert-manager write one: give one of them" }}
{{- end }}
{{- if .Values.gate.tls.secretName }}{{ .Values.gate.tls.secretName }}
{{- else if .Values.gate.tls.issuer.name }}{{ include "distillex.fullname" . }}-tls
{{- else if not .Values.gate.insecure }}
{{- fail "gate.tls.secretName: name a Secret of the type kubernetes.io/tls (kubectl create secret tls NAME --cert FILE --key FILE), or gate.tls.issuer.name for cert-manager, or say gate.insecure=true where a mesh encrypts" }}
{{- end }}
{{- end }}

{{- define "distillex.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "distillex.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end }}

{{/* Of the pods that resolve names, each over UDP and TCP. */}}
{{- define "distillex.dnsPorts" -}}
{{- range .Values.networkPolicy.dnsPorts }}
- port: {{ . }}
  protocol: UDP
- port: {{ . }}
  protocol: TCP
{{- end }}
{{- end }}

{{/* Selects the metrics of a component's pods in PromQL: dict "component" NAME "root" . Kubernetes cuts long names of pods. */}}
{{- define "distillex.metricsOf" -}}
{{- $prefix := printf "%s-%s-" (include "distillex.fullname" .root) .component | trunc 58 }}
{{- printf "namespace=\"%s\",pod=~\"%s[^-]*(-[^-]*)?\"" .root.Release.Namespace $prefix }}
{{- end }}
