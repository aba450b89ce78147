{{- define "wst.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- /* At most 50 characters: "-headnode" and a pod's suffix must still fit. */}}
{{- define "wst.fullname" -}}
{{- $name := include "wst.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $both .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "wst.selector" -}}
app.kubernetes.io/name: {{ include "wst.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- /* Name and labels of an object; dict root, component. */}}
{{- define "wst.metadata" -}}
name: {{ include "wst.fullname" .root }}-{{ .component }}
labels:
  {{- include "wst.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Labels and annotations of pods; dict root, component, and annotations of their own. */}}
{{- define "wst.podMetadata" -}}
labels:
  {{- merge (include "wst.selector" . | fromYaml) .root.Values.podLabels | toYaml | nindent 2 }}
{{- with merge (.annotations | default dict) .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
