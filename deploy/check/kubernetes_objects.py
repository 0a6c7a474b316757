"""Objects of Kubernetes as YAML has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


def pods_of(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Name, labels and spec of each pod."""
    for found in objects:
        if found["kind"] == "Deployment":
            template = found["spec"]["template"]
            yield f"Deployment/{found['metadata']['name']}", template["metadata"]["labels"], template["spec"]


def containers_of(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Name and container of each pod."""
    for where, _, spec in pods_of(objects):
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            yield f"{where}/{container['name']}", container
