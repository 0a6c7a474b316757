"""The Helm chart and the KServe examples, rendered by helm: their schemas, and what no schema knows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from compose import make_secrets
from kubernetes_objects import Object, containers_of
from monitoring import query_problems
from own_commands import gate_problem, problem_of
from page import PAGE
from programs import output, said
from references import reference_problems
from rights import container_problems, security_problems
from tools import Tools

VERSIONS = tuple(f"1.{minor}" for minor in range(29, 36))
TLS = "--set=gate.tls.secretName=distillex-tls"
VALUES: dict[str, tuple[str, ...]] = {
    "values.yaml": (TLS, "--set-literal=lexicons.wordLists.finance=青石云科\tcompany\n"),
    "values-cpu.yaml": (TLS, "--set=tracing.endpoint=http://collector.monitoring.svc:4318", "--set=log.format=json"),
    "values-gpu.yaml": (TLS, "--set=gate.tls.clientCaSecretName=distillex-clients"),
    "values-keda.yaml": ("--set=tenants.existingSecret=distillex-tenants",),
}
"""Each file of values, and what a user adds to it."""
TRACED = (
    "--set=tracing.endpoint=https://collector.example.org/v1/traces",
    '--set-json=networkPolicy.collector=[{"ipBlock": {"cidr": "192.0.2.0/24"}}]',
)
HARD = tuple(
    f"--set-string={value}"
    for value in (
        *("fullnameOverride=true", "nameOverride=1e3", "images.cpu.repository=1", "images.cpu.tag=20"),
        *("server.runtimeClassName=on", "server.priorityClassName=123", "server.topologySpread.keys={123,a/b}"),
        *("server.repository.existingClaim=1e3", "images.triton.repository=1", "images.triton.tag=20"),
        *("gate.tls.issuer.name=123", "gate.tls.clientCaSecretName=false", "gate.tls.dnsNames={*.example.org,123}"),
        *("tenants.existingSecret=0123", "tenants.tenantsKey=1.5", "tenants.secretKey=on"),
        *("adminToken.existingSecret=0123", "adminToken.key=1.5", "lexicons.claim.storageClassName=yes"),
    )
)
"""Texts that are something else where YAML finds them without quotes."""
CASES = {
    **{values: (values, more) for values, more in VALUES.items()},
    "values-keda.yaml with hard names": ("values-keda.yaml", ("--set=server.runtime=triton", *TRACED, *HARD)),
}
"""What is rendered and checked: by a name, the file of values and what is added to it."""
REFUSED: dict[str, tuple[str, ...]] = {
    "gate.tls.secretName": (),
    "additional properties 'replica'": (TLS, "--set=server.replica=3"),
    "server/replicas": (TLS, "--set=server.replicas=-1"),
    "server.strategy": (TLS, "--set=server.strategy.maxSurge=0"),
    "server/strategy/maxSurge": (TLS, "--set=server.strategy.maxSurge=-1"),
    "server/runtime": (TLS, "--set=server.runtime=tritonserver"),
    "gate/service/port": (TLS, "--set=gate.service.port=70000"),
    "images/cpu/tag": (TLS, "--set=images.cpu.tag=a b"),
    "images/cpu/digest": (TLS, "--set=images.cpu.digest=sha256:1234"),
    "'/nameOverride'": (TLS, "--set=nameOverride=a b"),
    "'/fullnameOverride'": (TLS, "--set=fullnameOverride=Distillex"),
    "server/topologySpread/keys/0": (TLS, "--set=server.topologySpread.keys={a: b}"),
    "gate/tls/dnsNames/0": (TLS, "--set=gate.tls.dnsNames={*}"),
    "gate.insecure=true serves without TLS: it cannot be given with gate.tls.secretName": (
        TLS,
        "--set=gate.insecure=true",
    ),
    "gate.tls.clientCaSecretName": ("--set=gate.insecure=true", "--set=gate.tls.clientCaSecretName=x"),
    "gate.tls.issuer.name": ("--set=gate.insecure=true", "--set=gate.tls.issuer.name=x"),
    "autoscaling/kind": (TLS, "--set=autoscaling.kind=vpa"),
    "autoscaling.keda.prometheusAddress": (TLS, "--set=autoscaling.kind=keda"),
    "tracing/endpoint": (TLS, "--set=tracing.endpoint=collector:4318"),
    "log/format": (TLS, "--set=log.format=xml"),
    "lexicons.volume=claim": (TLS, "--set=adminToken.existingSecret=admin"),
    "lexicons.volume=image": (TLS, "--set=lexicons.volume=claim", "--set=lexicons.wordLists.a=b"),
    "invalid propertyName 'Finance'": (TLS, "--set=lexicons.wordLists.Finance=b"),
    "additional properties 'token'": (TLS, "--set=adminToken.token=secret"),
    "tenants/existingSecret": (TLS, "--set=tenants.existingSecret=A b"),
    "additional properties 'keys'": (TLS, "--set=tenants.keys.acme=dx_1"),
    "additional properties 'key'": (TLS, "--set=gate.tls.key=secret"),
    "missing property 'replicas'": (TLS, "--set=server.replicas=null"),
    "autoscaling.minReplicas 5": (
        TLS,
        "--set=autoscaling.kind=hpa,autoscaling.minReplicas=5,autoscaling.maxReplicas=2",
    ),
    "set server.resources.requests.cpu": (TLS, "--set=autoscaling.kind=hpa", "--set=server.resources=null"),
    "autoscaling/keda/cooldownSeconds": (TLS, "--set=autoscaling.keda.cooldownSeconds=3601"),
    "server/resources/requests/memory": (TLS, "--set=server.resources.requests.memory=2GB"),
    "server/resources/requests/cpu": (TLS, "--set=server.resources.requests.cpu=-1"),
    "gate/resources/limits/memory": (TLS, "--set-string=gate.resources.limits.memory=0Mi"),
    "lexicons/claim/size": (TLS, "--set=lexicons.claim.size=0Gi"),
    "server/sharedMemory": (TLS, "--set=server.sharedMemory=0Mi"),
    "server/podDisruptionBudget/maxUnavailable": (TLS, "--set=server.podDisruptionBudget.maxUnavailable=0%"),
    "gate/podDisruptionBudget/maxUnavailable": (TLS, "--set=gate.podDisruptionBudget.maxUnavailable=101%"),
    "server/strategy/maxUnavailable": (TLS, "--set=server.strategy.maxUnavailable=200%"),
    "server/terminationGracePeriodSeconds": (TLS, "--set=server.terminationGracePeriodSeconds=27"),
    "gate/terminationGracePeriodSeconds": (TLS, "--set=gate.terminationGracePeriodSeconds=19"),
    "'http://collector:99999'": (TLS, "--set=tracing.endpoint=http://collector:99999"),
    "additional properties 'podSelectr'": (TLS, "--set=networkPolicy.clients[0].podSelectr.a=b"),
    "additional properties 'kye'": (TLS, "--set=server.tolerations[0].kye=x"),
    "additional properties 'nam'": (TLS, "--set=images.pullSecrets[0].nam=x"),
    "images/cpu/repository": (TLS, "--set=images.cpu.repository=registry//distillex"),
    "lexicons.wordLists.base": (TLS, "--set=lexicons.wordLists.base=a"),
    "ReadWriteOncePod": (TLS, "--set=lexicons.volume=claim,lexicons.claim.accessMode=ReadWriteOncePod"),
    "server.runtime=triton": (TLS, "--set=server.repository.existingClaim=models"),
    "server.repository.path /lexicons/x": (
        TLS,
        "--set=server.runtime=triton,server.repository.existingClaim=models,server.repository.path=/lexicons/x",
    ),
    "give one of them": (TLS, "--set=gate.tls.issuer.name=internal-ca"),
}
"""What a refusal has to name, and the values that are refused."""
METRIC = re.compile(r"\b((?:nv|envoy|distillex)_\w+|up)\b(\{[^}]*\})?")
SCOPE = re.compile(r'namespace="prod",pod=~"[a-z]')
CUSTOM = ("keda.sh", "monitoring.coreos.com", "cert-manager.io")
OF_KSERVE = ("serving.kserve.io",)


def chart_of(root: Path) -> Path:
    """Return the chart's folder."""
    return root / "deploy/helm/distillex"


def render(tools: Tools, chart: Path, values: str, more: Sequence[str]) -> list[Object]:
    """Return the objects of a file of values.

    Raises
    ------
    RuntimeError
        Where helm refuses; holds its words.
    """
    text = output([tools.helm, "template", "distillex", chart, "--namespace=prod", f"--values={chart / values}", *more])
    return [each for each in yaml.safe_load_all(text) if each]


def check_page(root: Path, tools: Tools) -> list[str]:
    """Render the chart as docs/how-to/deploy.md says; the page builds and pushes each image that it then names."""
    page = (root / PAGE).read_text(encoding="utf-8").replace("\\\n", " ")
    page = page.replace("REGISTRY", "registry.example")
    installs = re.findall(r"^helm install .*$", page, re.MULTILINE)
    built, pushed = (
        set(re.findall(pattern, page)) for pattern in (r"docker build .*?-t (\S+) \.", r"docker push (\S+)")
    )
    problems = [f"{PAGE}: {image} is pushed, and not built" for image in sorted(pushed - built)]
    problems += [
        f"{PAGE}: no helm install with {values}"
        for values in ("values-cpu.yaml", "values-gpu.yaml")
        if not any(values in line for line in installs)
    ]
    for line in installs:
        try:
            text = output([tools.helm, "template", *shlex.split(line)[2:]], cwd=root)
        except RuntimeError as error:
            problems.append(f"{PAGE}: {line}: {error}")
            continue
        images = {each["image"] for _, each in containers_of([each for each in yaml.safe_load_all(text) if each])}
        problems += [f"{PAGE}: {line}: nothing pushes {image}" for image in sorted(images - pushed)]
    return problems


def check_chart(root: Path, tools: Tools) -> list[str]:
    """Lint and render the chart with each file of values; check how the objects name each other, and their security."""
    chart = chart_of(root)
    if problem := said([tools.helm, "lint", "--strict", "--set=gate.tls.secretName=x", chart]):
        return [problem]
    here = {path.name for path in chart.glob("values*.yaml")}
    problems = [f"{name}: no case of the checks renders it" for name in sorted(here - VALUES.keys())]
    queries = []
    for case, (values, more) in CASES.items():
        try:
            objects = render(tools, chart, values, more)
        except RuntimeError as error:
            problems.append(f"{case}: {error}")
            continue
        found = [
            *reference_problems(objects),
            *security_problems(objects),
            *_commands(objects),
            *_rollouts(objects),
            *_of_all_releases(objects),
            *_drains(objects),
            *_custom(tools, objects),
        ]
        problems += [f"{case}: {problem}" for problem in found]
        queries += [(f"{case}: {where}", query) for where, query in _queries(objects)]
    return problems + query_problems(tools, queries)


def check_values(root: Path, tools: Tools) -> list[str]:
    """Give the chart values that it has to refuse."""
    problems = []
    for named, more in REFUSED.items():
        command: list[str | Path] = [tools.helm, "template", "distillex", chart_of(root), *more]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            problems.append(f"accepted: {' '.join(more) or 'no values'}")
        elif named not in done.stderr.replace(".", "/") and named not in done.stderr:
            problems.append(f"{' '.join(more)}: refused, but {named} is not named: {done.stderr.strip()[-300:]}")
    return problems


def check_gate(root: Path, tools: Tools) -> list[str]:
    """Let Envoy read the gate of each file of values."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        secrets = make_secrets(root, Path(folder))
        for case, (values, more) in CASES.items():
            for where, container in containers_of(render(tools, chart_of(root), values, more)):
                if container["name"] == "gate" and (problem := gate_problem(tools, container["args"], secrets)):
                    problems.append(f"{case}: {where}: {problem}")
    return problems


def check_schemas(root: Path, tools: Tools) -> list[str]:
    """Validate all objects against every supported version of Kubernetes, the containers of KServe's too."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for case, (values, more) in CASES.items():
            objects = [each for each in render(tools, chart_of(root), values, more) if _group(each) not in CUSTOM]
            files.append(_written(Path(folder) / case, objects))
        files.append(
            _written(Path(folder) / "kserve.yaml", [_as_pod(each) for each in _kserve(root, "ServingRuntime")])
        )
        program = Path(__file__).with_name("kubernetes_schemas.py")
        said_ = output([tools.python / "python", program, ",".join(VERSIONS), *files])
    return [line.removeprefix(f"{folder}/") for line in said_.splitlines()]


def check_kserve(root: Path, tools: Tools) -> list[str]:  # noqa: ARG001
    """Check that the InferenceService asks for what the ServingRuntime offers, and the runtime's command."""
    [runtime], [service] = _kserve(root, "ServingRuntime"), _kserve(root, "InferenceService")
    offered, asked = runtime["spec"], service["spec"]["predictor"]["model"]
    [container] = offered["containers"]
    formats = [each["name"] for each in offered["supportedModelFormats"]]
    problems = [
        text
        for fine, text in (
            (asked["runtime"] == runtime["metadata"]["name"], f"the runtime {asked['runtime']} is not there"),
            (asked["modelFormat"]["name"] in formats, f"the format {asked['modelFormat']['name']} is not offered"),
            (asked["protocolVersion"] in offered["protocolVersions"], "the protocol is not offered"),
            (container["name"] == "kserve-container", "KServe looks for a container named kserve-container"),
        )
        if not fine
    ]
    named = f"ServingRuntime/{runtime['metadata']['name']}"
    return (
        problems + container_problems(named, offered, container) + list(filter(None, [problem_of(container["args"])]))
    )


def _kserve(root: Path, kind: str) -> list[Object]:
    files = sorted((root / "deploy/kserve").glob("*.yaml"))
    objects = [each for file in files for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each]
    return [each for each in objects if each["kind"] == kind]


def _as_pod(runtime: Object) -> Object:
    """Return a ServingRuntime as the pod that it describes."""
    own = {"supportedModelFormats", "protocolVersions", "multiModel", "annotations", "labels"}
    spec = {key: value for key, value in runtime["spec"].items() if key not in own}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": runtime["metadata"], "spec": spec}


def _written(file: Path, objects: list[Object]) -> Path:
    file.write_text(yaml.safe_dump_all(objects, allow_unicode=True), encoding="utf-8")
    return file


def _group(found: Object) -> str:
    return str(found["apiVersion"]).partition("/")[0]


def _custom(tools: Tools, objects: list[Object]) -> list[str]:
    program = Path(__file__).with_name("custom_resources.mjs")
    custom = json.dumps([each for each in objects if _group(each) in CUSTOM])
    return output(["node", program, tools.node_modules], given=custom).splitlines()


def _queries(objects: list[Object]) -> Iterator[tuple[str, str]]:
    for found in objects:
        if found["kind"] == "ScaledObject":
            for trigger in found["spec"].get("triggers", ()):
                yield f"ScaledObject/{found['metadata']['name']}", trigger["metadata"]["query"]
        for rule in _alerts(found):
            yield f"PrometheusRule/{found['metadata']['name']}: {rule['alert']}", rule["expr"]


def _alerts(found: Object) -> list[Object]:
    groups = found["spec"]["groups"] if found["kind"] == "PrometheusRule" else ()
    return [rule for group in groups for rule in group["rules"]]


def _drains(objects: list[Object]) -> Iterator[str]:
    """Budgets that keep a node from being drained: at one replica, or while a pod does not become ready."""
    for found in objects:
        if found["kind"] == "PodDisruptionBudget":
            where, spec = f"PodDisruptionBudget/{found['metadata']['name']}", found["spec"]
            if "minAvailable" in spec or not spec.get("maxUnavailable"):
                yield f"{where}: lets no pod go where there is one"
            if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
                yield f"{where}: holds pods that are not ready"


def _of_all_releases(objects: list[Object]) -> Iterator[str]:
    """Metrics of a query, and alerts, that another release in the cluster would have too."""
    for where, query in _queries(objects):
        for name, labels in METRIC.findall(query):
            if not SCOPE.search(labels):
                yield f"{where}: reads {name} of all releases"
    for found in objects:
        for rule in _alerts(found):
            if not {"namespace", "release"} <= rule["labels"].keys():
                yield f"{rule['alert']}: does not say of which release it is"


def _commands(objects: list[Object]) -> list[str]:
    return [
        f"{where}: {problem}"
        for where, container in containers_of(objects)
        if (arguments := container.get("args")) and (problem := problem_of(arguments))
    ]


def _rollouts(objects: list[Object]) -> Iterator[str]:
    """GPUs are given whole: a pod more than there are GPUs would wait for ever, and with it the update."""
    for found in objects:
        if found["kind"] == "Deployment":
            limits = [each["resources"]["limits"] for each in found["spec"]["template"]["spec"]["containers"]]
            surge = found["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
            if any("gpu" in name for each in limits for name in each) and surge != 0:
                yield f"Deployment/{found['metadata']['name']}: maxSurge is {surge}, where each pod holds a GPU"
