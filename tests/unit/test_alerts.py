"""The alert rules name what there is, and tell a person what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import meter

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
(GROUP,) = yaml.safe_load((DOCS / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
RULES: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}
LABELS = {
    f"{family.name}{suffix}": {*metric._labelnames, *(["le"] * (suffix == "_bucket"))}
    for metric in meter.ALL.values()
    for family in metric.describe()
    for suffix in SUFFIXES[family.type]
}
"""The labels of every series that a worker exports, by its name."""


def series(expression: str) -> list[str]:
    """Return the names of our series in an expression."""
    return re.findall(r"waldur_slurm_\w+", expression)


@pytest.mark.parametrize("alert", list(RULES))
def test_every_metric_of_a_rule_exists(alert: str) -> None:
    """A rule about a metric that isn't there never fires."""
    expression = RULES[alert]["expr"]

    assert series(expression) or expression.startswith("up{")
    assert set(series(expression)) <= set(LABELS)


@pytest.mark.parametrize("alert", list(RULES))
def test_every_label_of_a_rule_exists(alert: str) -> None:
    """The same holds for a label, chosen or grouped by, and for one in the text."""
    rule = RULES[alert]
    known = {"job", "instance"}.union(*(LABELS[name] for name in series(rule["expr"])))
    chosen = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", rule["expr"])
    grouped = re.findall(r"by \(([^)]*)\)", rule["expr"])
    named = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))

    assert {*chosen, *named, *re.findall(r"\w+", " ".join(grouped))} <= known


@pytest.mark.parametrize("alert", list(RULES))
def test_every_rule_says_what_to_do(alert: str) -> None:
    """Whom it wakes, what is the matter, and where to look."""
    rule = RULES[alert]

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith((".", "?"))


@pytest.mark.parametrize("name", sorted(meter.ALL))
def test_every_metric_is_described(name: str) -> None:
    """Whoever makes a dashboard finds each with its labels."""
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    (family,) = meter.ALL[name].describe()
    suffix = "_total" if family.type == "counter" else ""
    (row,) = (line for line in text.splitlines() if f"`{family.name}{suffix}`" in line)

    assert all(f"`{label}`" in row for label in meter.ALL[name]._labelnames)
