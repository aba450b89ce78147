"""Values: what is refused and in which words, and that the documents name them all."""

import json
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from slurm_tasks.model import components
from slurm_tasks.version import __version__
from tests.helm.cases import CASES, EVERYTHING, HEADNODE, MINIMAL, PASSWORD, TRES, TRIAL
from tests.helm.chart import CHART, Object, merge, of_kind, refusal, render, run

pytestmark = pytest.mark.xdist_group("helm")
VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")
README = (CHART / "README.md").read_text(encoding="utf-8").partition("## Values")[2]
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"contrl": {}}, "additional properties 'contrl' not allowed"),
        ({"beat": {"replicas": 2}}, "at '/beat': additional properties 'replicas' not allowed"),
        ({"waldur": {"token": {"secret": "x"}}}, "at '/waldur/token': additional properties"),
        ({"control": {"replicas": "2"}}, "at '/control/replicas': got string, want integer"),
        ({"sync": {"direction": "both ways"}}, "must be one of 'pull', 'push', 'both'"),
        ({"metrics": {"port": 70000}}, "at '/metrics/port': maximum: got 70,000, want 65,535"),
        ({"runAsUser": 0}, "at '/runAsUser': minimum: got 0, want 1"),
        ({"waldur": {"offeringUuid": "physics"}}, "'physics' does not match pattern"),
        ({"headnode": {"allocationNameMaxLen": 42}}, "maximum: got 42, want 41"),
        ({"extraEnv": [{"name": "A", "value": 1}]}, "at '/extraEnv/0/value': got number"),
        (
            {"extraEnv": [{"name": "WALDUR_API_TOKEN", "value": "x"}]},
            "extraEnv: WALDUR_API_TOKEN is there twice, or has a value of its own in this chart",
        ),
        (
            {"extraEnv": [{"name": "A"}], "control": {"extraEnv": [{"name": "A"}]}},
            "extraEnv: A is there twice",
        ),
        ({"waldur": {"apiUrl": ""}}, "waldur.apiUrl is required"),
        ({"waldur": {"offeringUuid": ""}}, "waldur.offeringUuid is required"),
        ({"waldur": {"token": {"existingSecret": ""}}}, "token.existingSecret is required"),
        ({"waldur": {"token": {"value": "x"}}}, "waldur.token: set existingSecret or value, not"),
        ({"broker": {"url": {"existingSecret": ""}}}, "broker.url.existingSecret is required"),
        (
            {"broker": {"url": {"existingSecret": "", "value": "sentinel://one:26379"}}},
            "broker.sentinel.master is required with sentinel://",
        ),
        (
            {"broker": {"sentinel": {"password": {"value": "a", "existingSecret": "b"}}}},
            "broker.sentinel.password: set existingSecret or value, not both",
        ),
        ({"tresConfiguration": ""}, "tresConfiguration is required: --set-file"),
        ({"tresConfiguration": "- cpu"}, "tresConfiguration is not a YAML mapping"),
        ({"flower": {"enabled": True}}, "flower.auth.existingSecret is required"),
        ({"valkey": {"enabled": True}}, "broker.url: with valkey.enabled it must not be set"),
        ({"metrics": {"annotations": True}}, "metrics.port is required"),
        ({"headnode": {"enabled": True}}, "headnode.confConfigMap is required"),
        ({"headnode": {"enabled": True}}, "headnode.munge: set keySecret"),
        (
            {"headnode": {**HEADNODE, "munge": {"keySecret": "a", "hostFolder": "/b"}}},
            "headnode.munge: set keySecret",
        ),
    ],
)
def test_bad_values_are_refused(values: Object, words: str) -> None:
    """Helm refuses them, and says which value is wrong and what it should be."""
    assert words in refusal(merge(MINIMAL, values))


def test_all_that_is_missing_is_said_at_once() -> None:
    """Without any value, one message names all that are required."""
    message = refusal({})
    for value in ("waldur.apiUrl", "offeringUuid", "token", "tresConfiguration", "broker.url"):
        assert re.search(rf"^- \S*{value}", message, re.MULTILINE)


@pytest.mark.parametrize(
    ("values", "secret"),
    [
        (merge(TRIAL, {"valkey": {"password": "short!"}}), "short!"),
        (merge(TRIAL, {"flower": {"auth": {"value": "no-colon"}}}), "no-colon"),
        (
            merge(MINIMAL, {"broker": {"url": {"existingSecret": "", "value": "amqp://a:b@c"}}}),
            "a:b@c",
        ),
    ],
    ids=["Valkey", "Flower", "broker"],
)
def test_a_refused_secret_is_not_printed(values: Object, secret: str) -> None:
    """Helm's message ends up in logs of deployments: it names the value, not the secret."""
    assert secret not in refusal(values)


def test_the_schema_knows_no_unknown_keys() -> None:
    """Every object of the schema that names its keys refuses all others."""

    def walk(node: Any) -> None:  # noqa: ANN401 - any part of a schema
        if isinstance(node, dict):
            assert "properties" not in node or node["additionalProperties"] is False
            for value in node.values():
                walk(value)

    walk({key: value for key, value in SCHEMA.items() if key != "properties"})
    walk(SCHEMA["properties"])
    assert SCHEMA["additionalProperties"] is False


def test_the_chart_can_be_a_part_of_another() -> None:
    """Helm gives a subchart its parent's `global`, which the strict schema lets pass."""
    assert render(merge(MINIMAL, {"global": {"site": "x"}}))


@pytest.mark.parametrize("values", [{}, EVERYTHING, TRIAL], ids=["none", "all", "trial"])
def test_lint_is_content(values: Object) -> None:
    """`helm lint --strict` finds nothing, with and without values."""
    done = run("lint", values, "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@pytest.mark.parametrize("case", ["trial", "everything", "the node's munged"])
def test_kubernetes_accepts_every_object(case: str, version: str) -> None:
    """The oldest and the newest Kubernetes know every field of every object, and miss none."""
    for found in render(CASES[case]):
        if found["kind"] != "PodMonitor":  # the operator's, not Kubernetes' own
            kubernetes_validate.validate(found, version, strict=True)


def test_the_oldest_kubernetes_is_the_charts() -> None:
    """Chart.yaml asks for the version that the objects are validated against."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["kubeVersion"] == ">=1.29.0-0"
    assert chart["appVersion"] == chart["version"] == __version__


def test_names_fit_however_long_the_release() -> None:
    """Names of objects, with a release's longest name, are at most 63 characters, and differ."""
    done = run("template", merge(EVERYTHING, {}), "r" * 53, str(CHART))
    found = [item for item in yaml.safe_load_all(done.stdout) if item]
    names = [(item["kind"], item["metadata"]["name"]) for item in found]
    assert max(len(name) for _, name in names) <= 63
    assert len(set(names)) == len(names)


def test_the_tres_configuration_arrives_as_written() -> None:
    """The ConfigMap holds the file to the letter, and the service reads the same from it."""
    text = (
        "# ours\r\n"
        + TRES
        + "gres/gpu: {limit: null, measured_unit: h, accounting_type: usage,\n  label: GPU}  \n\n"
    )
    data = of_kind(render(merge(MINIMAL, {"tresConfiguration": text})), "ConfigMap")["tres"]["data"]
    assert data == {"config-components.yaml": text}
    assert set(components.parse(data["config-components.yaml"], "x")) == {"cpu", "gres/gpu"}


def documented(node: yaml.Node | None, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Return key, meaning and default of every value, as values.yaml has them."""
    assert isinstance(node, yaml.MappingNode)
    for key, value in node.value:
        here = f"{path}{key.value}"
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from documented(value, f"{here}.")
        else:
            meaning = VALUES.splitlines()[key.start_mark.line - 1].strip()
            assert meaning.startswith("# "), f"{here} has no comment above it"
            default = VALUES[value.start_mark.index : value.end_mark.index].strip('"')
            yield here, meaning.removeprefix("# "), f"`{default}`" if default else ""


def test_the_readme_lists_every_value() -> None:
    """Its tables have exactly the keys, meanings and defaults of values.yaml, in its order."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*?) ?\|$", README, re.MULTILINE)
    assert rows == list(documented(yaml.compose(VALUES)))


def test_the_notes_say_what_is_next() -> None:
    """After an installation: how to check it, what the head node needs, and what is a trial's."""
    done = run("install", TRIAL, "site", str(CHART), "--dry-run=client")
    notes = done.stdout.partition("NOTES:")[2]
    assert "helm test site" in notes
    assert "WALDUR_SYNC_DIRECTION=both" in notes
    assert "port-forward service/site-waldur-slurm-tasks-flower 5555" in notes
    assert PASSWORD not in notes
