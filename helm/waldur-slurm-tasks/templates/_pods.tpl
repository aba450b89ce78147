{{- /* What all pods have in common; dict root, values (the component's), user. */}}
{{- define "wst.pod" -}}
automountServiceAccountToken: false
{{- /* a Service named flower would set FLOWER_PORT, and Flower read it */}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ int64 .user }}
  runAsGroup: {{ int64 .root.Values.runAsUser }}
  fsGroup: {{ int64 .root.Values.runAsUser }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "hostAliases" }}
{{- with get $.values $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* What all containers have in common; dict root, image (values that win over the service's). */}}
{{- define "wst.container" -}}
{{- $own := .image | default dict -}}
image: {{ printf "%s:%s" ($own.repository | default .root.Values.image.repository) ($own.tag | default .root.Values.image.tag | default .root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- /*
The pod of one of the service's processes; dict
  root, name, values (the component's), user, args,
  env, volumes, mounts: YAML lists beside what all have,
  container: YAML of ports and probes; optional: image, sidecars (YAML list), grace (seconds).
*/}}
{{- define "wst.podSpec" -}}
{{ include "wst.pod" . }}
terminationGracePeriodSeconds: {{ .grace | default 30 }}
{{- with .sidecars }}
initContainers:
  {{- . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .name }}
    {{- include "wst.container" . | nindent 4 }}
    args:
      {{- toYaml .args | nindent 6 }}
    {{- include "wst.env" . | nindent 4 }}
    {{- with .container }}
    {{- . | nindent 4 }}
    {{- end }}
    resources:
      {{- toYaml .values.resources | nindent 6 }}
    volumeMounts:
      {{- /* the heartbeat, beat's schedule and the writer's lock are in the first */}}
      - {name: run, mountPath: /run/waldur-slurm}
      - {name: tmp, mountPath: /tmp}
      {{- with .root.Values.broker.tls }}
      {{- if .caConfigMap }}
      - {name: broker-ca, mountPath: /etc/broker/ca, readOnly: true}
      {{- end }}
      {{- if .clientSecret }}
      - {name: broker-tls, mountPath: /etc/broker/tls, readOnly: true}
      {{- end }}
      {{- end }}
      {{- with .mounts }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with .root.Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - {name: run, emptyDir: {sizeLimit: 16Mi}}
  - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
  {{- with .root.Values.broker.tls }}
  {{- with .caConfigMap }}
  - {name: broker-ca, configMap: {name: {{ . }}}}
  {{- end }}
  {{- with .clientSecret }}
  - {name: broker-tls, secret: {secretName: {{ . }}}}
  {{- end }}
  {{- end }}
  {{- with .volumes }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* A Deployment of one of the service's processes; as podSpec, and replicas, strategy, secrets, annotations. */}}
{{- define "wst.deployment" -}}
{{- $ids := dict "root" .root "component" .name -}}
{{- $read := dict "checksum/secrets" (include "wst.secretsChecksum" .) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "wst.metadata" $ids | nindent 2 }}
spec:
  replicas: {{ .replicas | default 1 | int64 }}
  strategy: {type: {{ .strategy | default "Recreate" }}}
  selector:
    matchLabels:
      {{- include "wst.selector" $ids | nindent 6 }}
  template:
    metadata:
      {{- include "wst.podMetadata" (merge (dict "annotations" (merge $read (.annotations | default dict))) $ids) | nindent 6 }}
    spec:
      {{- include "wst.podSpec" . | nindent 6 }}
{{- end -}}

{{- /* By the heartbeat's age alone: a broker that is away restarts nothing, it only is not ready. */}}
{{- define "wst.heartbeatProbes" -}}
startupProbe:
  exec: {command: [slurm-tasks, health]}
  periodSeconds: 2
  timeoutSeconds: 10
  failureThreshold: 60
livenessProbe:
  exec: {command: [slurm-tasks, health]}
  periodSeconds: 60
  timeoutSeconds: 20
readinessProbe:
  exec: {command: [slurm-tasks, health, --ready]}
  periodSeconds: 30
  timeoutSeconds: 20
{{- end -}}

{{- /* Ports and probes of a worker. */}}
{{- define "wst.worker" -}}
{{- if .Values.metrics.port }}
ports:
  - {name: metrics, containerPort: {{ int64 .Values.metrics.port }}}
{{- end }}
{{ include "wst.heartbeatProbes" . }}
{{- end -}}
