{{/* The name of everything: that of the release. */}}
{{- define "collimator.name" -}}
{{- if contains "collimator" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-collimator{{ end }}
{{- end }}

{{/* Labels by which pods are selected. Takes (list $ component). */}}
{{- define "collimator.selector" -}}
app.kubernetes.io/name: collimator
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels. Takes (list $ component). */}}
{{- define "collimator.labels" -}}
{{ include "collimator.selector" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* Which component answers by HTTP: on SQLite the API is in the pod that has the file. */}}
{{- define "collimator.api" -}}
{{- if .Values.catalogue.postgres.urlSecret }}api{{ else }}catalogue{{ end }}
{{- end }}

{{/* The port of DICOM over TLS, where there is one. */}}
{{- define "collimator.tlsPort" -}}
{{- with get .Values.ingest.settings "DICOM_TLS_ADDR" }}{{ splitList ":" . | last }}{{ end }}
{{- end }}

{{/* The image of a service. Takes (list $ service). */}}
{{- define "collimator.image" -}}
{{- $values := (index . 0).Values }}
{{- $tag := (get $values (index . 1)).imageTag | default $values.image.tag | default (index . 0).Chart.AppVersion }}
{{- printf "%s:%s" $values.image.repository $tag | quote }}
{{- end }}

{{/* What the pods of all services have. Takes (list $ service). */}}
{{- define "collimator.pod" -}}
{{- $values := (index . 0).Values }}
{{- $own := get $values (index . 1) }}
automountServiceAccountToken: false
{{- with $values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* Pods of one service on different machines. Takes (list $ component). */}}
{{- define "collimator.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "collimator.selector" . | nindent 8 }}
{{- end }}

{{/* What no container may do. */}}
{{- define "collimator.hardened" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* Settings that come from values. Takes (list $ service). */}}
{{- define "collimator.settings" -}}
{{- $values := (index . 0).Values }}
{{- $service := index . 1 }}
- name: NATS_URL
  value: {{ $values.nats.url | quote }}
{{- if $values.nats.credsSecret }}
- name: NATS_CREDS_FILE
  value: /nats/{{ $service }}.creds
- name: NATS_INBOX_PREFIX
  value: _INBOX_{{ $service }}
{{- else if $values.nats.passwordsSecret }}
- name: NATS_USER
  value: {{ $service }}
- name: NATS_PASSWORD_FILE
  value: /nats/{{ $service }}
{{- end }}
{{- if $values.nats.caSecret }}
- name: NATS_TLS_CA
  value: /nats-ca/ca.crt
{{- end }}
{{- with $values.store }}
{{- if .url }}
- name: STORE_URL
  value: {{ .url | quote }}
{{- end }}
{{- if hasPrefix "s3://" .url }}
{{- with .endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
- name: AWS_REGION
  value: {{ .region | quote }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef: { name: {{ required "store.credentialsSecret: a bucket needs it" $values.store.credentialsSecret }}, key: {{ . }} }
{{- end }}
{{- end }}
{{- end }}
{{- if and $values.stow.tokenSecret (ne $service "indexer") }}
- name: STOW_TOKEN_FILE
  value: /stow/token
{{- end }}
{{- range $name, $value := merge (dict) (get $values $service).settings $values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* How many replicas the streams have, for the services that make them. */}}
{{- define "collimator.replicas" -}}
- name: STREAM_REPLICAS
  value: {{ .Values.nats.streamReplicas | quote }}
{{- end }}

{{/* Where the catalogue is. */}}
{{- define "collimator.catalogue" -}}
{{- with .Values.catalogue.postgres }}
{{- if .urlSecret }}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef: { name: {{ .urlSecret }}, key: {{ .urlKey }} }
{{- end }}
{{- end }}
{{- end }}

{{/* The folder of the instance store, if it is one. */}}
{{- define "collimator.storeFolder" -}}
{{- if hasPrefix "file://" .Values.store.url }}{{ trimPrefix "file://" .Values.store.url }}{{ end }}
{{- end }}

{{/* What a container sees. Takes (list $ service). */}}
{{- define "collimator.mounts" -}}
{{- $values := (index . 0).Values }}
{{- $service := index . 1 }}
- { name: tmp, mountPath: /tmp }
{{- if (get $values $service).configSecret }}
- { name: {{ $service }}-config, mountPath: /config, readOnly: true }
{{- end }}
{{- if or $values.nats.credsSecret $values.nats.passwordsSecret }}
- { name: {{ $service }}-nats, mountPath: /nats, readOnly: true }
{{- end }}
{{- if $values.nats.caSecret }}
- { name: nats-ca, mountPath: /nats-ca, readOnly: true }
{{- end }}
{{- with include "collimator.storeFolder" (index . 0) }}
- { name: store, mountPath: {{ . }}{{ if eq $service "api" }}, readOnly: true{{ end }} }
{{- end }}
{{- if and $values.stow.tokenSecret (ne $service "indexer") }}
- { name: stow, mountPath: /stow, readOnly: true }
{{- end }}
{{- if ne $service "ingest" }}
{{- if $values.catalogue.postgres.caSecret }}
- { name: postgres-ca, mountPath: /postgres, readOnly: true }
{{- end }}
{{- if not $values.catalogue.postgres.urlSecret }}
- { name: data, mountPath: /data }
{{- end }}
{{- end }}
{{- end }}

{{/* The volumes of one service: of each Secret only what is the service's. Takes (list $ service). */}}
{{- define "collimator.volumes" -}}
{{- $values := (index . 0).Values }}
{{- $service := index . 1 }}
{{- with (get $values $service).configSecret }}
- name: {{ $service }}-config
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- if $values.nats.credsSecret }}
- name: {{ $service }}-nats
  secret:
    secretName: {{ $values.nats.credsSecret }}
    defaultMode: 0440
    items: [{ key: {{ $service }}.creds, path: {{ $service }}.creds }]
{{- else if $values.nats.passwordsSecret }}
- name: {{ $service }}-nats
  secret:
    secretName: {{ $values.nats.passwordsSecret }}
    defaultMode: 0440
    items: [{ key: {{ $service }}, path: {{ $service }} }]
{{- end }}
{{- end }}

{{/* The volumes that services of one pod share. Takes (list $ whether it has the catalogue). */}}
{{- define "collimator.sharedVolumes" -}}
{{- $values := (index . 0).Values }}
- name: tmp
  emptyDir: {}
{{- with $values.nats.caSecret }}
- name: nats-ca
  secret: { secretName: {{ . }}, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- if include "collimator.storeFolder" (index . 0) }}
- name: store
  persistentVolumeClaim: { claimName: {{ required "store.claim: a folder needs it" $values.store.claim }} }
{{- end }}
{{- with $values.stow.tokenSecret }}
- name: stow
  secret: { secretName: {{ . }}, defaultMode: 0440, items: [{ key: token, path: token }] }
{{- end }}
{{- if index . 1 }}
{{- with $values.catalogue.postgres.caSecret }}
- name: postgres-ca
  secret: { secretName: {{ . }}, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- end }}
{{- end }}

{{/* How Kubernetes asks for a service's health. Takes (dict "port" "scheme"). */}}
{{- define "collimator.probes" -}}
livenessProbe:
  httpGet: { path: /health/live, port: {{ .port }}, scheme: {{ .scheme }} }
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /health/ready, port: {{ .port }}, scheme: {{ .scheme }} }
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* The container of the indexer. */}}
{{- define "collimator.indexerContainer" -}}
- name: indexer
  image: {{ include "collimator.image" (list . "indexer") }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [indexer]
  env:
    {{- include "collimator.settings" (list . "indexer") | nindent 4 }}
    {{- include "collimator.replicas" . | nindent 4 }}
    {{- include "collimator.catalogue" . | nindent 4 }}
    - name: ADMIN_ADDR
      value: 0.0.0.0:9102
  ports:
    - { name: admin-indexer, containerPort: 9102 }
  {{- include "collimator.probes" (dict "port" "admin-indexer" "scheme" "HTTP") | nindent 2 }}
  resources: {{ toYaml .Values.indexer.resources | nindent 4 }}
  {{- include "collimator.hardened" . | nindent 2 }}
  volumeMounts: {{ include "collimator.mounts" (list . "indexer") | nindent 4 }}
{{- end }}

{{/* The container of the API. */}}
{{- define "collimator.apiContainer" -}}
{{- $service := printf "%s-api" (include "collimator.name" .) }}
- name: api
  image: {{ include "collimator.image" (list . "api") }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [api]
  env:
    {{- include "collimator.settings" (list . "api") | nindent 4 }}
    {{- include "collimator.catalogue" . | nindent 4 }}
    {{- if .Values.stow.tokenSecret }}
    - name: STOW_URL
      value: http://{{ include "collimator.name" . }}-stow:8105
    {{- end }}
    - name: API_ADDR
      value: 0.0.0.0:8000
    - name: ALLOWED_HOSTS
      value: {{ concat (list "localhost" $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace)) .Values.api.hosts | join "," | quote }}
  ports:
    - { name: http, containerPort: 8000 }
  {{- include "collimator.probes" (dict "port" "http" "scheme" (ternary "HTTPS" "HTTP" (hasKey .Values.api.settings "API_TLS_CERT"))) | nindent 2 }}
  resources: {{ toYaml .Values.api.resources | nindent 4 }}
  {{- include "collimator.hardened" . | nindent 2 }}
  volumeMounts: {{ include "collimator.mounts" (list . "api") | nindent 4 }}
{{- end }}
