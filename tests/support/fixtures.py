"""Pytest fixtures for real SLURM clusters.

``pytest_plugins = ["tests.support.fixtures"]`` brings them in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from tests.support.clusters import SUITES, RealCluster, running_cluster, unavailable_reason
from tests.support.machines import need

_RELEASE_OF_FIXTURE = {f"slurm_{release.replace('.', '')}": release for release in SUITES}
_RELEASE_OF_FIXTURE["engine"] = "24.11"  # Docker's, whose head node reaches that cluster


def _cluster(release: str, config: pytest.Config) -> Iterator[RealCluster]:
    if os.environ.get("PYTEST_XDIST_WORKER") and not config.getoption("loadgroup", False):
        pytest.fail("workers would wait for each other's clusters: --dist loadgroup is needed")
    need(unavailable_reason(release))
    with running_cluster(release) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_2205(pytestconfig: pytest.Config) -> Iterator[RealCluster]:
    """SLURM 22.05, for this session alone; state is what the tests before left in it."""
    yield from _cluster("22.05", pytestconfig)


@pytest.fixture(scope="session")
def slurm_2411(pytestconfig: pytest.Config) -> Iterator[RealCluster]:
    """SLURM 24.11, for this session alone; state is what the tests before left in it."""
    yield from _cluster("24.11", pytestconfig)


@pytest.fixture(scope="session")
def slurm_2605(pytestconfig: pytest.Config) -> Iterator[RealCluster]:
    """SLURM 26.05, for this session alone; state is what the tests before left in it."""
    yield from _cluster("26.05", pytestconfig)


@pytest.fixture(params=list(SUITES))
def slurm(request: pytest.FixtureRequest) -> RealCluster:
    """Each of the clusters in turn, empty: the test runs once on each."""
    name = f"slurm_{request.param.replace('.', '')}"
    cluster: RealCluster = request.getfixturevalue(name)
    cluster.reset()
    return cluster


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep each cluster's tests on one xdist worker (``--dist loadgroup``).

    Not in ``pytest_collection_modifyitems``: there, xdist has read the groups already.
    """
    releases = _releases_of(item)
    if releases:
        item.add_marker(pytest.mark.xdist_group("+".join(sorted(releases))))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Write xdist's groups into the test ids, where its scheduler looks for them.

    xdist 3.8 does so itself, but into an attribute that pytest 9.2 doesn't read.
    """
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group and group.args and not item.nodeid.endswith(f"@{group.args[0]}"):
            node: Any = item
            node._id = type(node._id).parse(f"{item.nodeid}@{group.args[0]}")


def _releases_of(item: pytest.Item) -> set[str]:
    """The clusters a test uses: by fixture name, or by a parameter that names one."""
    named = {_RELEASE_OF_FIXTURE.get(name) for name in getattr(item, "fixturenames", ())}
    callspec = getattr(item, "callspec", None)
    params = callspec.params.values() if callspec else ()
    for value in chain.from_iterable(v if isinstance(v, tuple) else (v,) for v in params):
        if isinstance(value, str):
            named.add(_RELEASE_OF_FIXTURE.get(value, value if value in SUITES else None))
    return {release for release in named if release}
