"""What deploy/ repeats of the code is what the code says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from distillex_serving.embedded import STOP_TIMEOUT_S
from distillex_serving.gate import GateLimits, GateOptions, Servers
from distillex_serving.gate.configuration import GateFiles, envoy_configuration
from distillex_serving.gate.gate import DRAIN_S, END_S
from server_under_test import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

CHART = ROOT / "deploy/helm/distillex"


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lines_of(name):
    lines = (ROOT / "deploy/requirements" / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_images_and_chart_have_the_version_of_the_distribution():
    version = project(ROOT)["version"]
    for dockerfile in ("Dockerfile", "Dockerfile.cpu"):
        assert f'image.version="{version}"' in (ROOT / "deploy" / dockerfile).read_text(encoding="utf-8")
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_images_install_what_the_distributions_ask_for():
    own, client = project(ROOT), project(ROOT / "client")
    extras = own["optional-dependencies"]
    asked = {*own["dependencies"], *extras["serve"], *extras["gate"], *client["dependencies"]}
    asked -= {f"distillex-client=={own['version']}", "numpy>=1.23"}
    asked -= {requirement for requirement in asked if "python_version < '3.11'" in requirement}  # images have 3.11
    assert set(lines_of("image.in")) == asked


@pytest.mark.parametrize("name", ["image", "build"])
def test_every_requirement_of_the_images_is_locked_with_its_hashes(name):
    locked = "\n".join(lines_of(f"{name}.txt"))
    for wanted in lines_of(f"{name}.in"):
        package = re.match(r"[\w-]+", wanted)[0]
        assert re.search(rf"^{package}(\[\w+\])?==\S+ \\\n    --hash=sha256:", locked, re.MULTILINE), package


def test_the_gate_of_the_chart_has_the_limits_of_the_code():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["gate"]
    limits = GateLimits()
    assert values["maxRequestMib"] * 2**20 == limits.max_request_bytes
    assert values["maxConnections"] == limits.max_connections


def seconds_before_stop(template):
    text = (CHART / "templates" / template).read_text(encoding="utf-8")
    [found] = re.findall(r'preStop:.*?- sleep\n\s+- "(\d+)"', text, re.DOTALL)
    return int(found)


def test_what_is_ended_has_the_time_that_it_takes_and_some_more():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text(encoding="utf-8"))["services"]
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["properties"]
    for name, takes in (("server", STOP_TIMEOUT_S), ("gate", DRAIN_S + END_S)):
        grace = values[name]["terminationGracePeriodSeconds"]
        needed = seconds_before_stop(f"{name}.yaml") + takes + 5
        assert grace >= needed
        least = schema[name]["properties"]["terminationGracePeriodSeconds"]["minimum"]
        assert least == needed, "a value that the schema accepts kills it before it has ended"
        assert int(compose[name]["stop_grace_period"].removesuffix("s")) >= takes + 5
    page = (ROOT / "docs/how-to/operations.md").read_text(encoding="utf-8")
    rows = (r"`preStop` sleeps \| (\d+) s,.* (\d+) s,.*", r".* \| (\d+) s \| (\d+) s \|", r".* \| (\d+) \| (\d+) \|")
    shown = [int(found) for found in re.search(r"^\| " + "\n".join(rows) + "$", page, re.MULTILINE).groups()]
    assert shown[:2] == [seconds_before_stop("server.yaml"), seconds_before_stop("gate.yaml")]
    assert shown[2:4] == [STOP_TIMEOUT_S, DRAIN_S + END_S]
    assert shown[4:] == [values[name]["terminationGracePeriodSeconds"] for name in ("server", "gate")]


def test_a_server_serves_on_until_each_gate_has_looked_at_the_name_and_asked_for_its_health_again():
    configuration = envoy_configuration(
        GateOptions("127.0.0.1", 1), Servers("server", 8001), GateFiles(Path("/tmp/admin"))
    )
    [cluster] = [each for each in configuration["static_resources"]["clusters"] if each["name"] == "triton"]
    [health] = cluster["health_checks"]
    needed = sum(
        float(text.removesuffix("s")) for text in (cluster["dns_refresh_rate"], health["interval"], health["timeout"])
    )
    assert seconds_before_stop("server.yaml") >= needed


def test_rules_and_dashboard_of_the_chart_are_those_of_prometheus_and_grafana():
    assert (CHART / "files/distillex.rules.yml").resolve() == ROOT / "deploy/prometheus/distillex.rules.yml"
    assert (CHART / "files/distillex.json").resolve() == ROOT / "deploy/grafana/dashboards/distillex.json"


def test_pages_name_the_release_of_nvidias_images_that_the_dockerfile_builds_on():
    dockerfile = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    [release] = re.findall(r"^ARG TRITON_IMAGE=nvcr\.io/nvidia/tritonserver:(\S+)$", dockerfile, re.MULTILINE)
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*")]
    texts = {file: file.read_text(encoding="utf-8") for file in files if file.is_file() and file.suffix != ".pyc"}
    named = {file.name: set(re.findall(r"nvcr\.io/nvidia/\w+:([\w.-]+)", text)) for file, text in texts.items()}
    assert {name: found for name, found in named.items() if found - {release}} == {}
    assert {"Dockerfile", "serving.md", "deploy.md"} <= {name for name, found in named.items() if found}


def selectors(name):
    """Models of the time in the queue and of the time of computing, as a file of queries selects them."""
    text = (ROOT / "deploy" / name).read_text(encoding="utf-8").replace('\\"', '"')
    found = re.findall(r'nv_inference_(queue|compute)_\w+\{(model\W+"[^"]*")', text)
    assert len(found) == len(re.findall(r"nv_inference_(?:queue|compute)_", text))
    return set(found)


def test_rules_dashboard_and_keda_weigh_waiting_against_computing_by_the_same_models():
    rules = selectors("prometheus/distillex.rules.yml")
    assert {of for of, _ in rules} == {"queue", "compute"}
    assert len(rules) == 2
    assert selectors("helm/distillex/templates/autoscaling.yaml") == rules
    assert selectors("grafana/dashboards/distillex.json") == rules


def test_the_oldest_keda_that_will_do_is_named_wherever_keda_is_chosen():
    for text in (CHART / "values.yaml", CHART / "templates/autoscaling.yaml", ROOT / "docs/how-to/deploy.md"):
        assert "2.18 or newer" in text.read_text(encoding="utf-8")


def test_the_build_context_has_what_the_wheels_are_built_of_and_nothing_else(tools):
    from image_root import context_files
    from tools import ToolMissingError

    try:
        [packages] = (tools.python.parent / "lib").glob("python*/site-packages")
    except ToolMissingError as error:
        pytest.skip(str(error))
    sys.path.append(str(packages))
    try:
        files = {str(file) for file in context_files(ROOT)}
    finally:
        sys.path.remove(str(packages))
    wanted = {"pyproject.toml", "client/pyproject.toml", "models/student-cluener/model.onnx", "lexicons/base/CURRENT"}
    assert wanted <= files
    assert {"deploy/requirements/image.txt", "serving/triton_guard/division_guard.cpp", "LICENSE"} <= files
    tops = {file.partition("/")[0] for file in files}
    assert not tops & {"tests", "docs", "build", ".git", "benchmarks", "load_tests"}
    assert not [file for file in files if "secrets/" in file or file.endswith(".safetensors")]
