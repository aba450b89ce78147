{{- /*
Secrets are the user's (`existingSecret`) or, where `value` is set, the chart's: one for each, so
that who may read one may not read all. `wst.secrets` lists the chart's: suffix, key, content.
*/}}
{{- define "wst.secrets" -}}
{{- if .Values.control.enabled }}
{{- include "wst.secret" (dict "suffix" "waldur" "secret" .Values.waldur.token) }}
{{- end }}
{{- $broker := .Values.broker.url }}
{{- if .Values.valkey.enabled }}
{{- $url := printf "redis://:%s@%s-valkey:6379/0" .Values.valkey.password (include "wst.fullname" .) }}
{{- $broker = dict "value" $url "key" $broker.key }}
{{- $conf := printf "requirepass %s\ndir /data\nsave \"\"\nappendonly no\n" .Values.valkey.password }}
{{- include "wst.secret" (dict "suffix" "valkey" "secret" (dict "value" $conf "key" "valkey.conf")) }}
{{- end }}
{{- include "wst.secret" (dict "suffix" "broker" "secret" $broker) }}
{{- if .Values.broker.sentinel.master }}
{{- include "wst.secret" (dict "suffix" "sentinel" "secret" .Values.broker.sentinel.password) }}
{{- end }}
{{- include "wst.secret" (dict "suffix" "sentry" "secret" .Values.sentry.dsn) }}
{{- if .Values.flower.enabled }}
{{- include "wst.secret" (dict "suffix" "flower" "secret" .Values.flower.auth) }}
{{- end }}
{{- end -}}

{{- define "wst.secret" }}
{{- if .secret.value }}
{{ .suffix }}: {{ dict .secret.key .secret.value | toJson }}
{{- end }}
{{- end -}}

{{- /* A variable from a secret; dict root, name, secret (its values), suffix (of the chart's). */}}
{{- define "wst.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret.existingSecret | default (printf "%s-%s" (include "wst.fullname" .root) .suffix) }}
      key: {{ .secret.key }}
{{- end -}}

{{- /* Pods restart when a secret of the chart changes that they read; dict root, secrets. */}}
{{- define "wst.secretsChecksum" -}}
{{- $all := include "wst.secrets" .root | fromYaml -}}
{{- $read := dict -}}
{{- range .secrets }}{{ $_ := set $read . (get $all .) }}{{ end -}}
{{- $read | toJson | sha256sum -}}
{{- end -}}
