{{/* Labels of everything; (dict "root" $ "part" "launcher"). */}}
{{- define "turnout.labels" -}}
app.kubernetes.io/name: turnout-agents
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
app.kubernetes.io/part-of: turnout
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* What a part's pods are known by. */}}
{{- define "turnout.selector" -}}
app.kubernetes.io/name: turnout-agents
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* What the restricted pod security standard asks of a pod; seccomp: a profile of the nodes, or empty. */}}
{{- define "turnout.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  {{- if .seccomp }}
  type: Localhost
  localhostProfile: {{ .seccomp }}
  {{- else }}
  type: RuntimeDefault
  {{- end }}
{{- end }}

{{- define "turnout.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Environment of a part: what it is told, the settings of all, where its secrets lie. (dict root, part, told). */}}
{{- define "turnout.environment" -}}
{{- $v := .root.Values }}
{{- $env := dict "TURNOUT_HOME" "/tmp/turnout" }}
{{- if has .part (list "sweeper" "dispatcher" "agents") }}
  {{- $_ := set $env "TURNOUT_KAFKA_BOOTSTRAP" $v.kafka.bootstrap }}
  {{- $_ := set $env "TURNOUT_KAFKA_SECURITY_PROTOCOL" $v.kafka.protocol }}
  {{- with $v.kafka.mechanism }}{{ $_ := set $env "TURNOUT_KAFKA_SASL_MECHANISM" . }}{{ end }}
  {{- if eq $v.kafka.mechanism "PLAIN" }}
    {{- $_ := set $env "TURNOUT_KAFKA_USERNAME_FILE" "/run/secrets/turnout/kafka/username" }}
    {{- $_ := set $env "TURNOUT_KAFKA_PASSWORD_FILE" "/run/secrets/turnout/kafka/password" }}
  {{- end }}
  {{- if $v.kafka.caSecret }}{{ $_ := set $env "TURNOUT_KAFKA_CA_FILE" "/run/secrets/turnout/kafka-ca/ca.crt" }}{{ end }}
{{- end }}
{{- if and $v.projects (has .part (list "sweeper" "agents")) }}
  {{- $_ := set $env "TURNOUT_PROJECTS" "/etc/turnout/projects" }}
{{- end }}
{{- if eq .part "sweeper" }}
  {{- $_ := set $env "TURNOUT_DATABASE_URL" $v.database.url }}
  {{- $_ := set $env "TURNOUT_MIGRATE" "job" }}
  {{- with $v.database.identity }}{{ $_ := set $env "TURNOUT_DATABASE_IDENTITY" . }}{{ end }}
{{- end }}
{{- range $name, $value := .told }}{{ $_ := set $env $name $value }}{{ end }}
{{- range $name, $value := $v.settings }}{{ $_ := set $env (printf "TURNOUT_%s" $name) (toString $value) }}{{ end }}
{{- $part := .part }}
{{- range $name, $from := $v.secrets }}
  {{- if has $part $from.to }}{{ $_ := set $env (printf "TURNOUT_%s_FILE" $name) (printf "/run/secrets/turnout/settings/%s" $name) }}{{ end }}
{{- end }}
{{- range $name, $value := $env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "turnout.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: var-tmp, mountPath: /var/tmp}
{{- if include "turnout.secretNames" . }}
- {name: settings, mountPath: /run/secrets/turnout/settings, readOnly: true}
{{- end }}
{{- if and .root.Values.projects (has .part (list "sweeper" "agents")) }}
- {name: projects, mountPath: /etc/turnout/projects, readOnly: true}
{{- end }}
{{- if has .part (list "sweeper" "dispatcher" "agents") }}
{{- if eq .root.Values.kafka.mechanism "PLAIN" }}
- {name: kafka, mountPath: /run/secrets/turnout/kafka, readOnly: true}
{{- end }}
{{- if .root.Values.kafka.caSecret }}
- {name: kafka-ca, mountPath: /run/secrets/turnout/kafka-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{/* disk: bytes. */}}
{{- define "turnout.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .disk | int64 | quote }}}
- name: var-tmp
  emptyDir: {sizeLimit: {{ .disk | int64 | quote }}}
{{- if include "turnout.secretNames" . }}
- name: settings
  projected:
    defaultMode: 0440
    sources:
      {{- $part := .part }}
      {{- range $name, $from := .root.Values.secrets }}
      {{- if has $part $from.to }}
      - secret:
          name: {{ $from.secret }}
          items: [{key: {{ $from.key | quote }}, path: {{ $name }}}]
      {{- end }}
      {{- end }}
{{- end }}
{{- if and .root.Values.projects (has .part (list "sweeper" "agents")) }}
- name: projects
  configMap: {name: {{ .root.Values.projects }}}
{{- end }}
{{- if has .part (list "sweeper" "dispatcher" "agents") }}
{{- if eq .root.Values.kafka.mechanism "PLAIN" }}
- name: kafka
  secret: {secretName: {{ .root.Values.kafka.secret }}, defaultMode: 0440}
{{- end }}
{{- with .root.Values.kafka.caSecret }}
- name: kafka-ca
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}

{{/* Settings that the part has as files; empty: none. */}}
{{- define "turnout.secretNames" -}}
{{- $part := .part -}}
{{- range $name, $from := .root.Values.secrets }}{{ if has $part $from.to }}{{ $name }} {{ end }}{{ end }}
{{- end }}

{{/* Peers and ports of one network rule. */}}
{{- define "turnout.rule" -}}
- to:
    {{- if .namespace }}
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
    {{- else }}
    - ipBlock:
        cidr: {{ .cidr | quote }}
        {{- if eq .cidr "0.0.0.0/0" }}
        except: [169.254.0.0/16{{ range .except }}, {{ . | quote }}{{ end }}]
        {{- else if eq .cidr "::/0" }}
        except: ["fd00:ec2::254/128", "fd20:ce::254/128", "fe80::/10"{{ range .except }}, {{ . | quote }}{{ end }}]
        {{- else if .except }}
        except: {{ toJson .except }}
        {{- end }}
    {{- end }}
  {{- with .ports }}
  ports:
    {{- range . }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- end }}
{{- end }}

{{/* What has to be said, besides what values.schema.json knows. */}}
{{- define "turnout.check" -}}
{{- $v := .Values }}
{{- $functions := or $v.launcher.enabled $v.sweeper.enabled $v.dispatcher.enabled }}
{{- if and (or $functions $v.agents.kinds) (not $v.images.turnout) }}
  {{- fail "images.turnout: say which image has Turnout itself (make images ONLY=turnout)" }}
{{- end }}
{{- if and $v.launcher.enabled (not $v.images.agents) }}
  {{- fail "images.agents: say in which images agents run, as registry.example.org/ci/turnout-{agent}:1.0" }}
{{- end }}
{{- if and $v.launcher.enabled (not $v.gatewayUrl) }}
  {{- fail "gatewayUrl: say where launched jobs reach the gateway, as https://turnout.example.org/gateway" }}
{{- end }}
{{- if and $v.launcher.enabled $v.jobs.network.restricted (not $v.jobs.network.gateway) }}
  {{- fail "jobs.network.gateway: say at which addresses the gateway is, or jobs can't reach it" }}
{{- end }}
{{- if and $v.launcher.enabled (not (has "launcher" (dig "SERVER_KEY" "to" list $v.secrets))) }}
  {{- fail "secrets.SERVER_KEY: the launcher needs the server's key, the same as the gateway's and the orchestrator's" }}
{{- end }}
{{- $to := dig "FUNCTION_TOKEN" "to" list $v.secrets }}
{{- range $part := list "launcher" "sweeper" }}
  {{- if and (index $v $part).enabled (not (has $part $to)) }}
    {{- fail (printf "secrets.FUNCTION_TOKEN: the %s needs it, to let in nobody but the dispatcher" $part) }}
  {{- end }}
{{- end }}
{{- if and $v.dispatcher.enabled (or $v.launcher.enabled $v.sweeper.enabled) (not (has "dispatcher" $to)) }}
  {{- fail "secrets.FUNCTION_TOKEN: the dispatcher needs it, to be let in by the launcher and the sweeper" }}
{{- end }}
{{- if and (or $v.sweeper.enabled $v.dispatcher.enabled $v.agents.kinds) (not $v.kafka.bootstrap) }}
  {{- fail "kafka.bootstrap: the sweeper, the dispatcher and resident agents need the brokers" }}
{{- end }}
{{- if and $v.kafka.bootstrap (ne (hasPrefix "SASL_" $v.kafka.protocol) (ne $v.kafka.mechanism "")) }}
  {{- fail "kafka.mechanism: SASL_PLAINTEXT and SASL_SSL need PLAIN or OAUTHBEARER, the other protocols an empty one" }}
{{- end }}
{{- if and (eq $v.kafka.mechanism "PLAIN") (not $v.kafka.secret) }}
  {{- fail "kafka.secret: name the Secret with the username and the password for PLAIN" }}
{{- end }}
{{- if and $v.sweeper.enabled (not $v.database.url) (not (has "sweeper" (dig "DATABASE_URL" "to" list $v.secrets))) }}
  {{- fail "database.url: the sweeper needs the database" }}
{{- end }}
{{- if $v.dispatcher.enabled }}
  {{- range $name := list "orchestrator" "reporter" }}
    {{- if not (hasKey $v.dispatcher.functions $name) }}
      {{- fail (printf "dispatcher.functions.%s: say where it is" $name) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- if and $v.agents.kinds $v.scaling.enabled }}
  {{- $sasl := include "turnout.sasl" . }}
  {{- if and (ne $sasl "none") (not (or $v.scaling.secret $v.kafka.secret)) }}
    {{- fail (printf "scaling.secret: KEDA needs a Secret with username and password, to sign in by %s" $sasl) }}
  {{- end }}
  {{- if and (eq $sasl "oauthbearer") (not $v.scaling.tokenEndpoint) }}
    {{- fail "scaling.tokenEndpoint: KEDA can't sign in as a Google account. Say where it gets a token, or use scaling.sasl=plaintext" }}
  {{- end }}
{{- end }}
{{- end }}

{{/* How KEDA signs in to the brokers. */}}
{{- define "turnout.sasl" -}}
{{- if .Values.scaling.sasl }}{{ .Values.scaling.sasl }}
{{- else if eq .Values.kafka.mechanism "PLAIN" }}plaintext
{{- else if eq .Values.kafka.mechanism "OAUTHBEARER" }}oauthbearer
{{- else }}none
{{- end }}
{{- end }}
