"""A small shop to deploy: as a chart, as manifests and as a kustomization. How its pods behave is said by their image's
name, `behave.test/BEHAVIOUR` (local/cluster/kubelet.yaml)."""

from __future__ import annotations

CHART = {
    "deploy/chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 0.1.0\n",
    "deploy/chart/values.yaml": """
image: {repository: behave.test/run, tag: "1", digest: ""}
greeting: hello
password: not-so-secret-word
""",
    "deploy/chart/templates/shop.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app: shop}}
spec:
  replicas: 1
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: shop
          {{- if .Values.image.digest }}
          image: "{{ .Values.image.repository }}@{{ .Values.image.digest }}"
          {{- else }}
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          {{- end }}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {greeting: {{ .Values.greeting }}}
---
apiVersion: v1
kind: Secret
metadata: {name: shop}
stringData: {password: {{ .Values.password }}}
""",
}

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app: shop}}
spec:
  replicas: 1
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: shop
          image: IMAGE
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {greeting: GREETING}
"""


def manifests(image: str = "behave.test/run:1", greeting: str = "hello", **more: str) -> dict[str, str]:
    return {
        "k8s/deployment.yaml": DEPLOYMENT.replace("IMAGE", image),
        "k8s/config.yaml": CONFIG.replace("GREETING", greeting),
    } | {f"k8s/{name}.yaml": text for name, text in more.items()}


def kustomization(image: str = "shop") -> dict[str, str]:
    return {
        "deploy/base/kustomization.yaml": "resources: [deployment.yaml]\n",
        "deploy/base/deployment.yaml": DEPLOYMENT.replace("IMAGE", image),
        "deploy/overlays/staging/kustomization.yaml": (
            "resources: [../../base]\n"
            "configMapGenerator: [{name: settings, literals: [greeting=hello]}]\n"
            "labels: [{pairs: {stage: staging}}]\n"
        ),
    }
