"""Who talks to whom: services, policies, and the selectors that they choose pods by."""

from typing import Any

import pytest

from tests.helm.cases import CASES, EVERYTHING, MINIMAL, TRIAL
from tests.helm.chart import Object, merge, of_kind, pods, render

pytestmark = pytest.mark.xdist_group("helm")
each_case = pytest.mark.parametrize("values", CASES.values(), ids=CASES)


def chosen(labels: dict[str, str], objects: list[Object]) -> set[str]:
    """Return the components whose pods have these labels."""
    found = pods(objects)
    return {
        name for name, pod in found.items() if labels.items() <= pod["metadata"]["labels"].items()
    }


def ports(rules: list[dict[str, Any]]) -> set[int]:
    """Return all ports that some rules allow."""
    return {port["port"] for rule in rules for port in rule["ports"]}


@each_case
def test_selectors_choose_their_own_pods(values: Object) -> None:
    """Deployments, services and policies each choose the pods of their component alone."""
    objects = render(values)
    for name, found in of_kind(objects, "Deployment").items():
        assert chosen(found["spec"]["selector"]["matchLabels"], objects) == {name}
    for name, found in of_kind(objects, "Service").items():
        assert chosen(found["spec"]["selector"], objects) == {name}
        names = {port["name"] for port in pods(objects)[name]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in found["spec"]["ports"]} <= names
    for name, found in of_kind(objects, "NetworkPolicy").items():
        assert chosen(found["spec"]["podSelector"]["matchLabels"], objects) == {name}


@pytest.mark.parametrize("values", [MINIMAL, TRIAL, EVERYTHING], ids=["min", "trial", "all"])
def test_every_pod_has_a_policy_for_both_ways(values: Object) -> None:
    """What no rule allows is refused, in and out, for every pod."""
    objects = render(values)
    policies = of_kind(objects, "NetworkPolicy")
    assert set(policies) == set(pods(objects))
    for policy in policies.values():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_policies_can_be_left_to_the_site() -> None:
    """Switched off, there is none."""
    assert not of_kind(render(CASES["no policies"]), "NetworkPolicy")


def test_each_process_reaches_what_it_talks_to() -> None:
    """DNS (53), the broker (6379), Waldur and Sentry (443), SLURM (6817, 6819), and no more."""
    policies = of_kind(render(merge(MINIMAL, CASES["the node's munged"])), "NetworkPolicy")
    reached = {name: ports(policy["spec"]["egress"]) for name, policy in policies.items()}
    assert reached == {
        "control": {53, 6379, 443},
        "check": {53, 6379, 443},
        "beat": {53, 6379},
        "headnode": {53, 6379, 6817, 6819},
    }
    assert all(not policy["spec"]["ingress"] for policy in policies.values())


def test_valkey_is_the_releases_alone() -> None:
    """Only pods of this release reach the trial's Valkey, and it reaches nobody."""
    objects = render(TRIAL)
    policy = of_kind(objects, "NetworkPolicy")["valkey"]["spec"]
    assert policy["egress"] == []
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    assert chosen(peer["podSelector"]["matchLabels"], objects) == set(pods(objects))


def test_metrics_and_flower_are_what_comes_in() -> None:
    """Workers take connections to their metrics, Flower to its pages, beat none."""
    policies = of_kind(render(EVERYTHING), "NetworkPolicy")
    taken = {name: ports(policy["spec"]["ingress"]) for name, policy in policies.items()}
    assert taken == {
        "control": {9464},
        "headnode": {9464},
        "flower": {5555},
        "beat": set(),
        "check": set(),
    }


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("https://waldur.example.com", 443),
        ("http://waldur.example.com/api/", 80),
        ("https://waldur.example.com:8443/api/", 8443),
        ("https://[2001:db8::443]/api/", 443),
    ],
)
def test_waldurs_port_is_its_urls(url: str, port: int) -> None:
    """The control worker may go to the port that the API's URL names, or its scheme's."""
    policies = of_kind(render(merge(MINIMAL, {"waldur": {"apiUrl": url}})), "NetworkPolicy")
    assert ports(policies["control"]["spec"]["egress"]) == {53, 6379, port}


def test_peers_and_further_rules_narrow_and_widen() -> None:
    """`to` says where the broker may be; `extraEgress` is for every process of the service."""
    policies = of_kind(render(EVERYTHING), "NetworkPolicy")
    for policy in policies.values():
        rules = policy["spec"]["egress"]
        broker = next(rule for rule in rules if ports([rule]) == {6379})
        assert broker["to"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
        assert {"ports": [{"port": 3128}]} in rules
