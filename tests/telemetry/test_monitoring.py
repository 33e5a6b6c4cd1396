"""The dashboard and the alert rules: they can be read, and name no metric that does not exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml
from support.paths import ROOT

from pluginserver.runtime.book import BOUNDS, cells
from pluginserver.telemetry.prometheus import Figures

MONITORING: Final = ROOT / "examples/monitoring"
_SELECTED: Final = re.compile(r"(kong_pluginserver_\w+)(?:\{([^}]*)\})?")
_GROUPED: Final = re.compile(r"\bby \(([^)]*)\)")

EXAMPLE: Final[dict[str, Any]] = {
    "bounds": list(BOUNDS),
    "events": {
        "p": {"log": {"outcomes": {"returned": 1}, "spent": cells(), "waited": cells(), "asks": 1}}
    },
    "callbacks": {"kong.node.get_id": cells()},
    "plugins": {"p": {"instances": 1}},
    "threads": {"events": 1},
    "processes": {"1": {"version": "1", "started": 1.0}},
}
SCRAPED: Final = {"job", "instance"}
"""Labels that Prometheus itself adds."""


def known() -> dict[str, set[str]]:
    """The labels of each metric that is exported."""
    return {
        one.name: {*one.labels, *SCRAPED}
        for family in Figures(lambda: EXAMPLE).collect()
        for one in family.samples
    }


def expressions(name: str) -> Iterator[str]:
    text = (MONITORING / name).read_text()
    if name.endswith(".json"):
        board = json.loads(text)
        for panel in board["panels"]:
            yield from (target["expr"] for target in panel["targets"])
        yield from (
            one["query"]["query"]
            for one in board["templating"]["list"]
            if one["name"] != "datasource"
        )
    else:
        for group in yaml.safe_load(text)["groups"]:
            yield from (rule["expr"] for rule in group["rules"])


@pytest.mark.parametrize("name", ["dashboard.json", "alerts.yml"])
def test_every_metric_and_label_that_is_asked_for_exists(name: str) -> None:
    metrics, found = known(), 0
    for expression in expressions(name):
        selected = _SELECTED.findall(expression)
        assert selected, expression
        for metric, labels in selected:
            found += 1
            assert metric in metrics, expression
            asked = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", labels))
            assert asked <= metrics[metric], expression
        every = set.union(*(metrics[metric] for metric, _labels in selected))
        for labels in _GROUPED.findall(expression):
            assert {one.strip() for one in labels.split(",")} <= every, expression
        assert expression.count("(") == expression.count(")"), expression
        assert expression.count("{") == expression.count("}"), expression
    assert found > 5


def test_the_dashboard_shows_every_metric() -> None:
    shown = {
        metric for one in expressions("dashboard.json") for metric, _ in _SELECTED.findall(one)
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", one) for one in known()}
    assert {re.sub(r"_bucket$", "", one) for one in shown} == families


def test_an_alert_says_what_it_is_and_how_bad() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
    names = [rule["alert"] for rule in rules]
    assert len(set(names)) == len(names)
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        for label in re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])):
            assert label in rule["expr"]
