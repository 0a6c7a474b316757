"""That the chart's objects name each other rightly: ports by name, pods by labels, objects by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubernetes_objects import Object, pods_of


def reference_problems(objects: list[Object]) -> list[str]:
    """Return references that lead nowhere."""
    cluster = _Cluster(objects)
    problems = [problem for found in objects for problem in cluster.problems_of(found)]
    for where, _, spec in pods_of(objects):
        problems += cluster.pod_problems(where, spec)
        for container in spec["containers"]:
            problems += [f"{where}: {problem}" for problem in _port_problems(container)]
            problems += [f"{where}: {problem}" for problem in cluster.upstream_problems(container)]
    return problems


@dataclass(frozen=True)
class _Cluster:
    objects: list[Object]

    def has(self, kind: str, name: str) -> bool:
        return any((each["kind"], each["metadata"]["name"]) == (kind, name) for each in self.objects)

    def problems_of(self, found: Object) -> Iterator[str]:
        kind, spec = found["kind"], found.get("spec", {})
        where = f"{kind}/{found['metadata']['name']}"
        if kind == "Service":
            yield from self._wants(where, spec["selector"], {port["targetPort"] for port in spec["ports"]})
        elif kind == "PodDisruptionBudget":
            yield from self._wants(where, spec["selector"]["matchLabels"], set())
        elif kind == "PodMonitor":
            ports = {each["port"] for each in spec["podMetricsEndpoints"]}
            yield from self._wants(where, spec["selector"]["matchLabels"], ports)
        elif kind == "NetworkPolicy":
            ports = {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
            yield from self._wants(where, spec["podSelector"]["matchLabels"], ports)
            for rule in spec.get("egress", ()):
                asked = {port["port"] for port in rule["ports"] if isinstance(port["port"], str)}
                for peer in rule["to"] if asked else ():
                    yield from self._wants(where, peer["podSelector"]["matchLabels"], asked)
        elif kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            name = spec["scaleTargetRef"]["name"]
            if not self.has("Deployment", name):
                yield f"{where}: there is no Deployment {name}"

    def pod_problems(self, where: str, spec: Object) -> Iterator[str]:
        named = [("ServiceAccount", spec["serviceAccountName"])]
        named += [("ConfigMap", each["configMap"]["name"]) for each in spec["volumes"] if "configMap" in each]
        for kind, name in named:
            if not self.has(kind, name):
                yield f"{where}: there is no {kind} {name}"

    def upstream_problems(self, container: Object) -> Iterator[str]:
        for argument in container["args"]:
            option, _, value = argument.partition("=")
            if option == "--upstream" and not self._listens(value):
                yield f"{argument}: there is no such Service with that port"

    def _listens(self, upstream: str) -> bool:
        host, _, port = upstream.rpartition(":")
        name = host.partition(".")[0]
        services = [each for each in self.objects if each["kind"] == "Service" and each["metadata"]["name"] == name]
        return any(str(each["port"]) == port for service in services for each in service["spec"]["ports"])

    def _wants(self, where: str, selector: Object, wanted: set[str]) -> Iterator[str]:
        """Pods that a selector finds, and ports that they have."""
        chosen = [spec for _, labels, spec in pods_of(self.objects) if selector.items() <= labels.items()]
        ports = {port["name"] for spec in chosen for each in spec["containers"] for port in each.get("ports", ())}
        if not chosen:
            yield f"{where}: its selector finds no pod"
        for name in sorted(wanted - ports):
            yield f"{where}: no pod has a port {name}"


def _port_problems(container: Object) -> Iterator[str]:
    """Ports that probes ask, and ports that the command listens at."""
    numbers = {port["containerPort"] for port in container["ports"]}
    names = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe].get("grpc", container[probe].get("httpGet"))["port"]
        if asked not in numbers | names:
            yield f"{probe} asks the port {asked}, which is none of its own"
    for argument in container["args"]:
        option, _, value = argument.partition("=")
        if option.endswith("-port") and int(value) not in numbers:
            yield f"{argument}: it is no port of the container"
