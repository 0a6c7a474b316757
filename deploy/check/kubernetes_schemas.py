"""Validate the objects of YAML files against the schemas of Kubernetes versions; print what is wrong.

Runs in the tools' own environment (kubernetes-validate). Usage: kubernetes_schemas.py VERSION,… FILE…
"""

from __future__ import annotations

import sys

import kubernetes_validate
import yaml

versions, files = sys.argv[1].split(","), sys.argv[2:]
for file in files:
    with open(file, encoding="utf-8") as opened:  # noqa: PTH123
        objects = [each for each in yaml.safe_load_all(opened) if each]
    for found in objects:
        what = f"{found.get('kind')}/{found.get('metadata', {}).get('name')}"
        for version in versions:
            try:
                kubernetes_validate.validate(found, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                sys.stdout.write(f"{file}: {what}: Kubernetes {version}: {error.message}\n")
            except kubernetes_validate.SchemaNotFoundError:
                sys.stdout.write(f"{file}: {what}: Kubernetes {version} knows no {found.get('apiVersion')}\n")
