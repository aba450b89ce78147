"""Simulators of both generations, and a client that speaks to them as the provider."""

from collections.abc import Iterator
from typing import cast

import httpx
import pytest

from slurm_tasks.demo.waldur import Project, User, WaldurSimulator
from slurm_tasks.demo.waldur.values import Generation
from tests.contract.waldur.site import Site


@pytest.fixture(params=["a", "b"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A simulator of each generation."""
    with Site.started(cast("Generation", request.param)) as started:
        yield started


@pytest.fixture
def old() -> Iterator[Site]:
    """A simulator of GEN-A."""
    with Site.started("a") as started:
        yield started


@pytest.fixture
def new() -> Iterator[Site]:
    """A simulator of GEN-B."""
    with Site.started("b") as started:
        yield started


@pytest.fixture
def waldur(site: Site) -> WaldurSimulator:
    """The simulator itself."""
    return site.waldur


@pytest.fixture
def provider(site: Site) -> httpx.Client:
    """The provider's client."""
    return site.provider


@pytest.fixture
def project(site: Site) -> Project:
    """A project with one member."""
    return site.project


@pytest.fixture
def alice(site: Site) -> User:
    """The member."""
    return site.alice
