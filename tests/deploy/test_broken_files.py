"""A broken file of deploy/ is refused, with what is wrong in the message: one change each, on a copy."""

from __future__ import annotations

import shutil

import pytest
from server_under_test import ROOT

CHART = "deploy/helm/distillex"
SERVER, GATE = f"{CHART}/templates/server.yaml", f"{CHART}/templates/gate.yaml"
POLICIES, HELPERS = f"{CHART}/templates/networkpolicy.yaml", f"{CHART}/templates/_helpers.tpl"
RULES, DASHBOARD = "deploy/prometheus/distillex.rules.yml", "deploy/grafana/dashboards/distillex.json"
TENANTS = "deploy/compose/compose.tenants.yaml"
COMPOSE = "deploy/compose/compose.yaml"


@pytest.fixture
def tree(tmp_path):
    """A copy of what the checks read."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", symlinks=True, ignore=shutil.ignore_patterns("secrets"))
    (tmp_path / "docs" / "how-to").mkdir(parents=True)
    for page in ("deploy.md", "operations.md"):
        shutil.copy(ROOT / "docs" / "how-to" / page, tmp_path / "docs" / "how-to")
    return tmp_path


BROKEN = {
    # What is broken: the check that finds it, the file, what is replaced there, by what, what the check says.
    "an image's user": ("dockerfiles", "deploy/Dockerfile", "USER 10001:10001", "USER root", "DL3002"),
    "what an image installs": ("dockerfiles", "deploy/Dockerfile.cpu", "--no-install-recommends ", "", "DL3015"),
    "a script": ("dockerfiles", "deploy/compose/secrets.sh", 'cd "$folder"', "cd $folder", "SC2086"),
    "a key of the compose file": ("compose", COMPOSE, "cap_drop:", "cap_dorp:", "NOT have additional properties"),
    "an upstream": ("compose", COMPOSE, "--upstream=server:8001", "--upstream=server:8003", "8003"),
    "an option": ("compose", COMPOSE, "- --no-gate", "- --without-gate", "--without-gate"),
    "a writable container": ("compose", COMPOSE, "read_only: true", "read_only: false", "read_only"),
    "an image without its release": ("compose", COMPOSE, "grafana:12.4.11", "grafana:12.4", "not of one release"),
    "a scraped port": ("compose", "deploy/compose/prometheus.yml", "port: 8002", "port: 8003", "8003"),
    "a gate without key": ("compose gate", COMPOSE, "- --tls-key=/run/secrets/tls_key", "", "--tls-key"),
    "a variable of the tenants": ("compose", TENANTS, "DISTILLEX_TENANTS:", "DISTILLEX_TENANT:", "reads no"),
    "a file of the tenants": ("compose", TENANTS, "tenants/secret", "tenants/key", "nothing writes"),
    "a service of the tenants": ("compose", TENANTS, "  server:", "  servers:", "no such service"),
    "the chart's tenants": (
        "chart",
        HELPERS,
        "mountPath: /run/secrets/tenants",
        "mountPath: /run/tenants",
        "tenants.json is not mounted",
    ),
    "a rule's expression": ("rules", RULES, "sum(rate(nv", "sum(rate((nv", "parse error"),
    "a rule's threshold": ("rules", RULES, "> 0.02", "> 0.2", "DistillexErrorRate"),
    "a rule's duration": ("rules", RULES, "for: 15m", "for: fifteen", "fifteen"),
    "a rule without test": ("rules", RULES, "DistillexRestarts", "DistillexStarts", "DistillexStarts"),
    "an alert that no page explains": (
        "rules",
        "docs/how-to/operations.md",
        "### DistillexDown",
        "",
        "no section DistillexDown",
    ),
    "an explanation of no alert": (
        "rules",
        "docs/how-to/operations.md",
        "### DistillexDown",
        "### DistillexUp",
        "DistillexUp",
    ),
    "a link to another alert's section": (
        "rules",
        RULES,
        "#distillexdown",
        "#distillexabsent",
        "not docs/how-to/operations.md#",
    ),
    "a certificate's days": ("rules", RULES, ") < 14", ") < 15", "DistillexCertificateExpires"),
    "a rule of all releases": (
        "chart",
        RULES,
        'resets(nv_inference_request_success{model="extractor", job="distillex"}',
        'resets(nv_inference_request_success{model="extractor"}',
        "DistillexRestarts: reads nv_inference_request_success of all releases",
    ),
    "an alert of no release": (
        "chart",
        f"{CHART}/templates/monitoring.yaml",
        '"release" $.Release.Name',
        "",
        "DistillexDown: does not say of which release it is",
    ),
    "KEDA's query of all releases": (
        "chart",
        f"{CHART}/templates/autoscaling.yaml",
        'infer_duration_us{model=~"extractor.*",{{ $pods }}}',
        'infer_duration_us{model=~"extractor.*"}',
        "reads nv_inference_compute_infer_duration_us of all releases",
    ),
    "a panel's query": ("dashboard", DASHBOARD, "sum by (instance) (", "sum by (instance (", "sum by"),
    "a panel of every namespace": ("dashboard", DASHBOARD, r"namespace=~\"$namespace\", ", "", "shows every namespace"),
    "a panel's variable": ("dashboard", DASHBOARD, r"=~\"$instance", r"=~\"$server", "no variable $server"),
    "a panel's metric": ("dashboard", DASHBOARD, "nv_inference_count", "nv_inferences", "nv_inferences"),
    "a rule's metric": ("dashboard", RULES, "(envoy_cluster_grpc_3", "(envoy_grpc_3", "envoy_grpc_3"),
    "a port's name": ("chart", SERVER, "targetPort: grpc", "targetPort: gprc", "gprc"),
    "a scraped name": ("chart", f"{CHART}/templates/monitoring.yaml", "port: metrics", "port: metric", "metric"),
    "a probe's port": ("chart", SERVER, "port: 8001\n            periodSeconds: 5", "port: 8000", "8000"),
    "a policy's port": ("chart", POLICIES, "- port: 8001", "- port: 8003", "no pod has the port 8003"),
    "a policy's port by name": ("chart", POLICIES, "- port: 8443", "- port: grpc", "no pod has the port grpc"),
    "a policy's port in DNS": ("chart", HELPERS, "- port: {{ . }}", "- port: dns", "'dns' is no number"),
    "a port of the gate": ("chart", GATE, "- --status-port=9901", "- --status-port=9902", "9902"),
    "the gate's upstream": ("chart", GATE, "svc:8001", "svc:8002x", "8002x"),
    "the gate's option": ("chart", GATE, "- --max-connections=", "- --connections=", "--connections"),
    "root": ("chart", HELPERS, "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"),
    "a field of KEDA's": ("chart", f"{CHART}/templates/autoscaling.yaml", "triggers:", "trigers:", "triggers"),
    "KEDA's query": ("chart", f"{CHART}/templates/autoscaling.yaml", "[2m]", "[2x]", "2x"),
    "a budget": ("chart", SERVER, "  unhealthyPodEvictionPolicy: AlwaysAllow\n", "", "holds pods that are not ready"),
    "a budget at one replica": ("chart", GATE, "  maxUnavailable: {{ .", "  minAvailable: {{ .", "lets no pod go"),
    "an update on GPUs": ("chart", f"{CHART}/values-gpu.yaml", "maxSurge: 0", "maxSurge: 1", "maxSurge is 1"),
    "the page's command": (
        "chart page",
        "docs/how-to/deploy.md",
        "--set images.triton.repository=",
        "--set images.gpu=",
        "gpu",
    ),
    "the page's image": ("chart page", "docs/how-to/deploy.md", "push REGISTRY/distillex:gpu", "push", "distillex:gpu"),
    "a file of the page": (
        "page",
        "docs/how-to/deploy.md",
        "compose/secrets.sh my-host",
        "compose/secret.sh my-host",
        "is not there",
    ),
    "an option of the page": ("page", "docs/how-to/deploy.md", "ping --url", "ping --server", "--server"),
    "a command in an image": (
        "page",
        "docs/how-to/deploy.md",
        "tenant add acme --tenants /t",
        "tenant new acme --tenants /t",
        "'new'",
    ),
    "a profile of the page": (
        "page",
        "docs/how-to/deploy.md",
        "--profile tracing",
        "--profile traces",
        "profile traces",
    ),
    "a variable of the page": (
        "page",
        "docs/how-to/deploy.md",
        "| `DISTILLEX_TRACE_ENDPOINT`, ",
        "| ",
        "is explained in no table",
    ),
    "a wildcard without quotes": ("chart", GATE, "- {{ . | quote }}", "- {{ . }}", "with hard names"),
    "a name without quotes": (
        "chart schemas",
        SERVER,
        "{{ . | quote }}\n          when",
        "{{ . }}\n          when",
        "123 is not",
    ),
    "a value": ("chart", f"{CHART}/values-gpu.yaml", "runtime: triton", "runtime: trition", "runtime"),
    "a value's name": ("chart", f"{CHART}/values-cpu.yaml", "minReplicas", "minimum", "minimum"),
    "the schema": ("chart values", f"{CHART}/values.schema.json", '"minimum": 0', '"minimum": -9', "replicas=-1"),
    "a quantity's form": ("chart values", f"{CHART}/values.schema.json", "(n|u|m|k|", "(GB|n|u|m|k|", "memory=2GB"),
    "the chart's gate": ("chart gate", GATE, "- --tls-key=/run/secrets/tls/tls.key", "", "--tls-key"),
    "a type": ("chart schemas", SERVER, "containerPort: 8001", "containerPort: x", "'x' is not"),
    "a field": ("chart schemas", SERVER, "periodSeconds: 2", "periodSecond: 2", "periodSecond"),
    "KServe's format": (
        "kserve",
        "deploy/kserve/inference-service.yaml",
        "name: distillex\n      protocol",
        "name: x\n      protocol",
        "the format x",
    ),
}


@pytest.mark.parametrize(("check", "file", "old", "new", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused(problems, tree, check, file, old, new, says):
    place = tree / file
    text = place.read_text(encoding="utf-8")
    assert old in text, f"{file} has changed: this test breaks nothing"
    place.write_text(text.replace(old, new), encoding="utf-8")
    found = "\n".join(problems(check, tree))
    assert says in found, found
