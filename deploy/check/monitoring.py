"""Prometheus' configuration, rules and their tests; every query of rules, dashboard and chart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from programs import output, said
from tools import Tools

RUNBOOK = "docs/how-to/operations.md"
EXPORTED = Path(__file__).with_name("exported_metrics.txt")
DASHBOARD = Path("deploy/grafana/dashboards/distillex.json")
RULES = Path("deploy/prometheus/distillex.rules.yml")
ITSELF = ("up",)
"""What Prometheus knows itself."""
DASHBOARD_VARIABLES = {"$__rate_interval": "5m", "$namespace": ".*", "$instance": ".*"}


def check_rules(root: Path, tools: Tools) -> list[str]:
    """Let promtool read the configuration, the rules and the rules' tests; each alert has to be tested."""
    rules = root / RULES
    tests = rules.with_name("distillex.rules.test.yml")
    problems = [
        said([tools.promtool, "check", "config", "--syntax-only", root / "deploy/compose/prometheus.yml"]),
        said([tools.promtool, "check", "rules", rules]),
        said([tools.promtool, "test", "rules", tests]),
    ]
    alerts = {rule["alert"] for rule in _rules(rules)}
    cases = yaml.safe_load(tests.read_text(encoding="utf-8"))["tests"]
    fired = {each["alertname"] for case in cases for each in case["alert_rule_test"] if each["exp_alerts"]}
    problems += [f"{tests.name}: no test sets {alert} off" for alert in sorted(alerts - fired)]
    problems += runbook_problems(root, _rules(rules))
    return [problem for problem in problems if problem]


def runbook_problems(root: Path, rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return alerts whose annotation does not lead to a section of their own, and sections of no alert."""
    sections = re.findall(r"^### (Distillex\w+)$", (root / RUNBOOK).read_text(encoding="utf-8"), re.MULTILINE)
    alerts = {rule["alert"]: rule["annotations"].get("runbook_url") for rule in rules}
    problems = [f"{RUNBOOK} has no section {alert}" for alert in sorted(alerts.keys() - set(sections))]
    problems += [f"{RUNBOOK}: there is no alert {name}" for name in sorted(set(sections) - alerts.keys())]
    for alert, link in alerts.items():
        if link != (wanted := f"{RUNBOOK}#{alert.lower()}"):
            problems.append(f"{alert}: its runbook_url is {link}, not {wanted}")
    return problems


def check_dashboard(root: Path, tools: Tools) -> list[str]:
    """Parse every query of the dashboard and of the rules; each reads metrics that are exported."""
    file = root / DASHBOARD
    try:
        dashboard = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"{file.name}: {error}"]
    panels = dashboard["panels"]
    problems = [f"{file.name}: {panel['title']}: no query" for panel in panels if _is_empty(panel)]
    problems += variable_problems(file.name, dashboard)
    queries = [(f"{DASHBOARD.name}: {title}", query) for title, query in dashboard_queries(root)]
    queries += [(f"{RULES.name}: {alert}", query) for alert, query in alert_queries(root)]
    return problems + query_problems(tools, queries)


def variable_problems(name: str, dashboard: Mapping[str, Any]) -> list[str]:
    """Return the panels whose queries use a variable that the dashboard lacks, or show every namespace at once."""
    defined = {f"${variable['name']}" for variable in dashboard["templating"]["list"]}
    problems = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            used = set(re.findall(r"\$\w+", target["expr"]))
            unknown = used - defined - {"$__rate_interval"}
            problems += [f"{name}: {panel['title']}: no variable {variable}" for variable in sorted(unknown)]
            if "$namespace" not in used:
                problems.append(f"{name}: {panel['title']}: shows every namespace: {target['expr']}")
    return problems


def dashboard_queries(root: Path) -> list[tuple[str, str]]:
    """Return each query of the dashboard with its panel's title, as Grafana sends it."""
    panels = json.loads((root / DASHBOARD).read_text(encoding="utf-8"))["panels"]
    queries = [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())]
    for variable, value in DASHBOARD_VARIABLES.items():
        queries = [(title, query.replace(variable, value)) for title, query in queries]
    return queries


def alert_queries(root: Path) -> list[tuple[str, str]]:
    """Return each alert's expression with its name."""
    return [(rule["alert"], rule["expr"]) for rule in _rules(root / RULES)]


def query_problems(tools: Tools, queries: Sequence[tuple[str, str]]) -> list[str]:
    """Return what is wrong with queries, each with the place where it stands."""
    program = Path(__file__).with_name("promql_names.py")
    lines = "".join(json.dumps(query) + "\n" for _, query in queries)
    answers = map(json.loads, output([tools.python / "python", program], given=lines).splitlines())
    known = exported_metrics()
    problems = []
    for (where, query), answer in zip(queries, answers, strict=True):
        if "error" in answer:
            problems.append(f"{where}: {answer['error']}: {query}")
        else:
            problems += [f"{where}: nothing exports {name}" for name in answer["names"] if name not in known]
    return problems


def exported_metrics() -> set[str]:
    """Return the metrics that queries may read: those of servers and gates."""
    lines = EXPORTED.read_text(encoding="utf-8").splitlines()
    return {*ITSELF, *(line.split()[1] for line in lines if line and not line.startswith("#"))}


def _rules(file: Path) -> list[dict[str, str]]:
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _is_empty(panel: dict[str, object]) -> bool:
    return panel["type"] != "row" and not panel.get("targets")
