"""What the chart's pods may do: no more than they need."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes_objects import Object, pods_of


def security_problems(objects: list[Object]) -> list[str]:
    """Return what pods may do beyond what they need, secrets among the objects, and a network that is open."""
    problems = [f"{each['kind']}/{each['metadata']['name']}: a secret" for each in objects if each["kind"] == "Secret"]
    for where, _, spec in pods_of(objects):
        problems += _pod_problems(where, spec)
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            problems += container_problems(where, spec, container)
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


def container_problems(where: str, pod: Object, container: Object) -> list[str]:
    """Return what is wrong with a container's rights, its memory and its mounts."""
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
