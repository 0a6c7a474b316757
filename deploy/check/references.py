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
            yield from self._policy_problems(where, spec)
        elif kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            name = spec["scaleTargetRef"]["name"]
            if not self.has("Deployment", name):
                yield f"{where}: there is no Deployment {name}"

    def _policy_problems(self, where: str, spec: Object) -> Iterator[str]:
        """Ports of policies are numbers of pods' ports: not every network plugin resolves names."""
        own = spec["podSelector"]["matchLabels"]
        yield from self._wants(where, own, set())
        asked = [(own, rule["ports"]) for rule in spec.get("ingress", ())]
        for rule in spec.get("egress", ()):
            peers = [each["podSelector"]["matchLabels"] for each in rule.get("to", ()) if "podSelector" in each]
            asked += [(peer, rule["ports"]) for peer in peers]
            yield from (f"{where}: the port {each['port']!r} is no number" for each in rule["ports"] if _is_name(each))
        for selector, ports in asked:
            numbers = {
                each["containerPort"]
                for pod in self._chosen(selector)
                for container in pod["containers"]
                for each in container["ports"]
            }
            yield from (f"{where}: no pod has the port {each['port']}" for each in ports if each["port"] not in numbers)

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

    def _chosen(self, selector: Object) -> list[Object]:
        return [spec for _, labels, spec in pods_of(self.objects) if selector.items() <= labels.items()]

    def _wants(self, where: str, selector: Object, wanted: set[str]) -> Iterator[str]:
        """Pods that a selector finds, and ports that they have."""
        chosen = self._chosen(selector)
        ports = {port["name"] for spec in chosen for each in spec["containers"] for port in each.get("ports", ())}
        if not chosen:
            yield f"{where}: its selector finds no pod"
        for name in sorted(wanted - ports):
            yield f"{where}: no pod has a port {name}"


def _is_name(port: Object) -> bool:
    return not isinstance(port["port"], int)


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
