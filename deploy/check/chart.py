"""The Helm chart and the KServe examples, rendered by helm: their schemas, and what no schema knows."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from compose import make_secrets
from monitoring import query_problems
from own_commands import gate_problem, problem_of
from programs import output, said
from tools import Tools

Object = dict[str, Any]
VERSIONS = tuple(f"1.{minor}" for minor in range(29, 36))
SHORT_VERSIONS = (VERSIONS[0], VERSIONS[-1])
TLS = "--set=gate.tls.secretName=distillex-tls"
VALUES: dict[str, tuple[str, ...]] = {
    "values.yaml": (TLS, "--set-literal=lexicons.wordLists.finance=青石云科\tcompany\n"),
    "values-cpu.yaml": (TLS,),
    "values-gpu.yaml": (TLS, "--set=gate.tls.clientCaSecretName=distillex-clients"),
    "values-keda.yaml": (),
}
"""Each file of values, and what a user adds to it."""
REFUSED: dict[str, tuple[str, ...]] = {
    "gate.tls.secretName": (),
    "additional properties 'replica'": (TLS, "--set=server.replica=3"),
    "server/replicas": (TLS, "--set=server.replicas=-1"),
    "server/runtime": (TLS, "--set=server.runtime=tritonserver"),
    "gate/service/port": (TLS, "--set=gate.service.port=70000"),
    "images/cpu/tag": (TLS, "--set=images.cpu.tag=a b"),
    "images/cpu/digest": (TLS, "--set=images.cpu.digest=sha256:1234"),
    "autoscaling/kind": (TLS, "--set=autoscaling.kind=vpa"),
    "autoscaling.keda.prometheusAddress": (TLS, "--set=autoscaling.kind=keda"),
    "lexicons.volume=claim": (TLS, "--set=adminToken.existingSecret=admin"),
    "lexicons.volume=image": (TLS, "--set=lexicons.volume=claim", "--set=lexicons.wordLists.a=b"),
    "lexicons/wordLists": (TLS, "--set=lexicons.wordLists.Finance=b"),
    "additional properties 'token'": (TLS, "--set=adminToken.token=secret"),
    "additional properties 'key'": (TLS, "--set=gate.tls.key=secret"),
}
"""What a refusal has to name, and the values that are refused."""
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


def check_chart(root: Path, tools: Tools) -> list[str]:
    """Lint and render the chart with each file of values; check how the objects name each other, and their security."""
    chart = chart_of(root)
    if problem := said([tools.helm, "lint", "--strict", "--set=gate.tls.secretName=x", chart]):
        return [problem]
    here = {path.name for path in chart.glob("values*.yaml")}
    problems = [f"{name}: no case of the checks renders it" for name in sorted(here - VALUES.keys())]
    queries = []
    for values, more in VALUES.items():
        try:
            objects = render(tools, chart, values, more)
        except RuntimeError as error:
            problems.append(f"{values}: {error}")
            continue
        found = [*_references(objects), *_security(objects), *_commands(objects), *_custom(tools, objects)]
        problems += [f"{values}: {problem}" for problem in found]
        queries += [(f"{values}: {where}", query) for where, query in _queries(objects)]
    return problems + query_problems(tools, queries)


def check_values(root: Path, tools: Tools) -> list[str]:
    """Give the chart values that it has to refuse."""
    problems = []
    for named, more in REFUSED.items():
        command = [tools.helm, "template", "distillex", chart_of(root), *more]
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
        for values, more in VALUES.items():
            for where, container in _containers(render(tools, chart_of(root), values, more)):
                if container["name"] == "gate" and (problem := gate_problem(tools, container["args"], secrets)):
                    problems.append(f"{values}: {where}: {problem}")
    return problems


def check_schemas(root: Path, tools: Tools, versions: Sequence[str] = SHORT_VERSIONS) -> list[str]:
    """Validate all objects against the schemas of Kubernetes versions, the containers of KServe's too."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for values, more in VALUES.items():
            objects = [each for each in render(tools, chart_of(root), values, more) if _group(each) not in CUSTOM]
            files.append(_written(Path(folder) / values, objects))
        files.append(
            _written(Path(folder) / "kserve.yaml", [_as_pod(each) for each in _kserve(root, "ServingRuntime")])
        )
        program = Path(__file__).with_name("kubernetes_schemas.py")
        said_ = output([tools.python / "python", program, ",".join(versions), *files])
    return [line.removeprefix(f"{folder}/") for line in said_.splitlines()]


def check_all_schemas(root: Path, tools: Tools) -> list[str]:
    """Validate against every supported version of Kubernetes."""
    return check_schemas(root, tools, VERSIONS)


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
        problems + _container_problems(named, offered, container) + list(filter(None, [problem_of(container["args"])]))
    )


def _kserve(root: Path, kind: str) -> list[Object]:
    files = sorted((root / "deploy/kserve").glob("*.yaml"))
    objects = [each for file in files for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each]
    return [each for each in objects if each["kind"] == kind]


def _as_pod(runtime: Object) -> Object:
    """The part of a ServingRuntime that is a pod's."""
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
            for trigger in found["spec"]["triggers"]:
                yield f"ScaledObject/{found['metadata']['name']}", trigger["metadata"]["query"]


def _pods(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Name, labels and spec of each pod."""
    for found in objects:
        if found["kind"] == "Deployment":
            template = found["spec"]["template"]
            yield f"Deployment/{found['metadata']['name']}", template["metadata"]["labels"], template["spec"]


def _containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for where, _, spec in _pods(objects):
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            yield f"{where}/{container['name']}", container


def _commands(objects: list[Object]) -> list[str]:
    return [
        f"{where}: {problem}"
        for where, container in _containers(objects)
        if (arguments := container.get("args")) and (problem := problem_of(arguments))
    ]


def _security(objects: list[Object]) -> list[str]:
    problems = [f"{each['kind']}/{each['metadata']['name']}: a secret" for each in objects if each["kind"] == "Secret"]
    for where, _, spec in _pods(objects):
        problems += _pod_problems(where, spec)
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            problems += _container_problems(where, spec, container)
    denied = [
        each for each in objects if each["kind"] == "NetworkPolicy" and not {"ingress", "egress"} & each["spec"].keys()
    ]
    if [each["spec"]["policyTypes"] for each in denied] != [["Ingress", "Egress"]]:
        problems.append("no NetworkPolicy denies by default")
    return problems


def _pod_problems(where: str, spec: Object) -> list[str]:
    context = spec.get("securityContext", {})
    wanted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    problems = [f"{where}: {key} is not {value}" for key, value in wanted.items() if context.get(key) != value]
    if spec.get("automountServiceAccountToken") is not False:
        problems.append(f"{where}: it gets a token of the Kubernetes API")
    return problems


def _container_problems(where: str, pod: Object, container: Object) -> list[str]:
    where = f"{where}/{container['name']}"
    context = container.get("securityContext", {})
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    problems = [f"{where}: {key} is not {value}" for key, value in wanted.items() if context.get(key) != value]
    if "memory" not in container.get("resources", {}).get("limits", {}):
        problems.append(f"{where}: no limit of memory")
    volumes = {each["name"] for each in pod.get("volumes", ())}
    mounted = container.get("volumeMounts", ())
    problems += [f"{where}: no volume {each['name']}" for each in mounted if each["name"] not in volumes]
    places = [each["mountPath"] for each in mounted]
    problems += [f"{where}: {option} is not mounted" for option in _paths(container) if not _lies_in(option, places)]
    return problems


def _paths(container: Object) -> Iterator[str]:
    """Paths of volumes in a command."""
    for argument in container.get("args", ()):
        value = argument.partition("=")[2]
        if value.startswith("/") and not value.startswith("/opt/"):
            yield value


def _lies_in(path: str, places: list[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _references(objects: list[Object]) -> list[str]:
    """Ports by name, pods by labels, claims and objects by name."""
    problems = []
    pods = list(_pods(objects))
    named = {(each["kind"], each["metadata"]["name"]) for each in objects}

    def ports_of(selector: Object) -> set[str]:
        chosen = [spec for _, labels, spec in pods if selector.items() <= labels.items()]
        return {port["name"] for spec in chosen for each in spec["containers"] for port in each.get("ports", ())}

    def wants(where: str, selector: Object, wanted: set[str]) -> None:
        ports = ports_of(selector)
        if not ports:
            problems.append(f"{where}: its selector finds no pod")
        problems.extend(f"{where}: no pod has a port {name}" for name in sorted(wanted - ports))

    for found in objects:
        kind, spec = found["kind"], found.get("spec", {})
        where = f"{kind}/{found['metadata']['name']}"
        if kind == "Service":
            wants(where, spec["selector"], {port["targetPort"] for port in spec["ports"]})
        elif kind == "PodDisruptionBudget":
            wants(where, spec["selector"]["matchLabels"], set())
        elif kind == "PodMonitor":
            wants(where, spec["selector"]["matchLabels"], {each["port"] for each in spec["podMetricsEndpoints"]})
        elif kind == "NetworkPolicy":
            ports = {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
            wants(where, spec["podSelector"]["matchLabels"], ports)
            for rule in spec.get("egress", ()):
                asked = {port["port"] for port in rule["ports"] if isinstance(port["port"], str)}
                for peer in rule["to"] if asked else ():
                    wants(where, peer["podSelector"]["matchLabels"], asked)
        elif kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            if ("Deployment", spec["scaleTargetRef"]["name"]) not in named:
                problems.append(f"{where}: there is no Deployment {spec['scaleTargetRef']['name']}")
    return problems + _pod_references(pods, named)


def _pod_references(pods: list[tuple[str, Object, Object]], named: set[tuple[str, str]]) -> list[str]:
    problems = []
    services = {name for kind, name in named if kind == "Service"}
    for where, _, spec in pods:
        if ("ServiceAccount", spec["serviceAccountName"]) not in named:
            problems.append(f"{where}: there is no ServiceAccount {spec['serviceAccountName']}")
        for volume in spec["volumes"]:
            name = volume.get("configMap", {}).get("name")
            if name and ("ConfigMap", name) not in named:
                problems.append(f"{where}: there is no ConfigMap {name}")
        for container in spec["containers"]:
            numbers = {port["containerPort"] for port in container["ports"]}
            names = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container[probe].get("grpc", container[probe].get("httpGet"))["port"]
                if asked not in numbers | names:
                    problems.append(f"{where}: {probe} asks the port {asked}, which is none of its own")
            listened = [
                int(each.partition("=")[2]) for each in container["args"] if each.partition("=")[0].endswith("-port")
            ]
            problems += [
                f"{where}: listens at {port}, which is no port of its" for port in listened if port not in numbers
            ]
            for argument in container["args"]:
                if argument.startswith("--upstream="):
                    host = argument.removeprefix("--upstream=").partition(".")[0]
                    problems += [] if host in services else [f"{where}: {argument}: there is no such Service"]
    return problems
