{{- /* What every process reads. */}}
{{- define "wst.serviceEnv" -}}
{{ include "wst.secretEnv" (dict "root" . "name" "CELERY_BROKER_URL" "secret" .Values.broker.url "suffix" "broker") }}
- {name: CELERY_KEY_PREFIX, value: {{ .Values.broker.keyPrefix | quote }}}
{{- with .Values.broker.tls }}
- {name: CELERY_TLS_VERIFY, value: {{ .caConfigMap | empty | ternary .verify "/etc/broker/ca/ca.crt" | quote }}}
{{- if .clientSecret }}
- {name: CELERY_TLS_CERT, value: /etc/broker/tls/tls.crt}
- {name: CELERY_TLS_KEY, value: /etc/broker/tls/tls.key}
{{- end }}
{{- end }}
{{- with .Values.broker.sentinel }}
{{- if .master }}
- {name: CELERY_SENTINEL_MASTER, value: {{ .master | quote }}}
- {name: CELERY_SENTINEL_USERNAME, value: {{ .username | quote }}}
{{- if or .password.value .password.existingSecret }}
{{ include "wst.secretEnv" (dict "root" $ "name" "CELERY_SENTINEL_PASSWORD" "secret" .password "suffix" "sentinel") }}
{{- end }}
- {name: CELERY_SENTINEL_TLS, value: {{ .tls | quote }}}
{{- end }}
{{- end }}
- {name: WALDUR_SYNC_DIRECTION, value: {{ .Values.sync.direction }}}
- {name: ORDERS_SYNC_INTERVAL, value: {{ int64 .Values.sync.ordersInterval | quote }}}
- {name: MEMBERS_SYNC_INTERVAL, value: {{ int64 .Values.sync.membersInterval | quote }}}
- {name: USAGE_REPORT_INTERVAL, value: {{ int64 .Values.sync.usageInterval | quote }}}
- {name: SLURM_READ_ONLY, value: {{ .Values.readOnly | quote }}}
- {name: LOG_FORMAT, value: {{ .Values.log.format }}}
- {name: LOG_LEVEL, value: {{ .Values.log.level }}}
{{- end -}}

{{- /* What workers and beat read besides. */}}
{{- define "wst.celeryEnv" -}}
- {name: HEARTBEAT_FILE, value: /run/waldur-slurm/heartbeat}
{{- if or .Values.sentry.dsn.value .Values.sentry.dsn.existingSecret }}
{{ include "wst.secretEnv" (dict "root" . "name" "SENTRY_DSN" "secret" .Values.sentry.dsn "suffix" "sentry") }}
- {name: SENTRY_ENVIRONMENT, value: {{ .Values.sentry.environment | quote }}}
{{- end }}
{{- end -}}

{{- /* What workers read besides. */}}
{{- define "wst.workerEnv" -}}
{{ include "wst.celeryEnv" . }}
{{- if .Values.metrics.port }}
- {name: METRICS_PORT, value: {{ int64 .Values.metrics.port | quote }}}
- name: METRICS_ADDRESS
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end }}
{{- end -}}

{{- /* What the control worker and `slurm-tasks check` read besides. */}}
{{- define "wst.waldurEnv" -}}
{{- with .Values.waldur }}
- {name: WALDUR_API_URL, value: {{ .apiUrl | quote }}}
{{ include "wst.secretEnv" (dict "root" $ "name" "WALDUR_API_TOKEN" "secret" .token "suffix" "waldur") }}
- {name: WALDUR_OFFERING_UUID, value: {{ .offeringUuid | quote }}}
- {name: REQUESTS_VERIFY_SSL, value: {{ .caConfigMap | empty | ternary .verifySsl "/etc/waldur-ca/ca.crt" | quote }}}
- {name: WALDUR_TIMEOUT, value: {{ int64 .timeout | quote }}}
- {name: BILLING_TIME_ZONE, value: {{ .billingTimeZone | quote }}}
- {name: SLURM_LIMIT_OWNER, value: {{ .limitOwner }}}
- {name: SLURM_USAGE_DECREASE, value: {{ .usageDecrease }}}
{{- end }}
- {name: SLURM_TRES_CONFIG_PATH, value: /etc/waldur-slurm-tasks/config-components.yaml}
{{- end -}}

{{- /* The variables of a process: everyone's, its own (env, YAML), and the user's. */}}
{{- define "wst.env" -}}
{{- $env := list (include "wst.serviceEnv" .root) .env | join "\n" | fromYamlArray -}}
{{- $extra := concat .root.Values.extraEnv .values.extraEnv -}}
{{- $taken := list "WALDUR_API_TOKEN" "SENTRY_DSN" "FLOWER_BASIC_AUTH" "CELERY_SENTINEL_PASSWORD" -}}
{{- range $env }}{{ $taken = append $taken .name }}{{ end -}}
{{- range $extra }}
{{- if has .name $taken }}
{{- fail (printf "extraEnv: %s is there twice, or has a value of its own in this chart" .name) }}
{{- end }}
{{- $taken = append $taken .name }}
{{- end -}}
env:
  {{- concat $env $extra | toYaml | nindent 2 }}
{{- with concat .root.Values.extraEnvFrom .values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
