"""Versions: which server has which feature, and what each says about its own version.

Of generation B these are facts read in its source, its tests and its published clients; none was
run. The names of the features and where each was read stand in `demo/waldur/versions.py`.
"""

import pytest

from slurm_tasks.demo.waldur import Role
from slurm_tasks.demo.waldur.versions import NEWEST, OLDEST, SPANS, Feature, server
from tests.contract.waldur.site import Site

VERSION = "version/"


def test_every_feature_has_a_span() -> None:
    """Each feature says which servers have it and how that is known."""
    assert set(SPANS) == set(Feature)
    assert all(span.proof for span in SPANS.values())


def test_spans() -> None:
    """A feature is there from its first version on, up to the one that lost it."""
    servers = [server("b", version) for version in ("7.8.9", "7.9.0", "7.9.2", "7.9.3", "8.0.10")]
    assert [s.has(Feature.DATED_USAGE) for s in servers] == [False, True, True, True, True]
    assert [s.has(Feature.STAFF_DATES) for s in servers] == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("version", "status"), [(OLDEST, 403), ("8.0.5", 403), ("8.1.0", 403), ("8.1.2", 200)]
)
def test_version_for_the_provider(version: str, status: int) -> None:
    """Older servers tell only staff their version: schema 8.0.5, clients 8.1.0 and 8.1.2."""
    with Site.started("b", version) as site:
        answer = site.provider.get(VERSION)
        assert answer.status_code == status
        assert status != 200 or answer.json() == {"version": version}


def test_version_of_a(old: Site) -> None:
    """The recorded server refuses its provider; its staff get the version and nothing else."""
    assert old.provider.get(VERSION).status_code == 403
    with old.client_of(Role.STAFF) as staff:
        assert staff.get(VERSION).json() == {"version": old.waldur.version}


def test_version_for_staff() -> None:
    """Staff of generation B also get the newest version that there is."""
    with Site.started("b", OLDEST) as site, site.client_of(Role.STAFF) as staff:
        assert staff.get(VERSION).json() == {"version": OLDEST, "latest_version": NEWEST}
