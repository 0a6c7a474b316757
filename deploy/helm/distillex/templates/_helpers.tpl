{{- define "distillex.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "distillex.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "distillex.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "distillex.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
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
