"""What crosses the broker is checked on arrival."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from slurm_tasks.model.messages import (
    MAX_MINUTES,
    CheckRequest,
    CollectRequest,
    Desired,
    Intent,
    Measurement,
    Outcome,
    ReconcileReport,
    ReconcileRequest,
    Status,
)
from slurm_tasks.model.usage import Period
from tests.unit.build import ACCOUNT, RESOURCE, desired, uuid

PERIOD = Period(month="2026-04", start=1774991000, end=1774991000 + 30 * 86400)


def refused(**changed: object) -> str:
    """Return why an allocation with such a field is refused."""
    with pytest.raises(ValidationError) as caught:
        desired(**changed)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_request_survives_json() -> None:
    """What one side dumps, the other reads as the same values."""
    item = desired(limits={"gres/gpu": 5, "cpu": -1}, users=("alice",), periods=(PERIOD,))
    request = ReconcileRequest(items=(item,), removable_users=frozenset({"bob"}), dry_run=True)

    assert ReconcileRequest.model_validate(json.loads(json.dumps(request.dump()))) == request


def test_a_report_survives_json() -> None:
    """Outcomes, too, are read back as they were."""
    outcome = Outcome(resource=RESOURCE, account=ACCOUNT, status=Status.APPLIED, users=("alice",))
    report = ReconcileReport(cluster="lab", outcomes=(outcome,), writes=3)

    assert ReconcileReport.model_validate(json.loads(json.dumps(report.dump()))) == report


@pytest.mark.parametrize("model", [Desired, ReconcileRequest, Outcome, CollectRequest, Measurement])
def test_a_field_of_another_version_is_refused(model: Any) -> None:  # noqa: ANN401 - several models
    """A message with an unknown field fails loudly instead of being half understood."""
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"argv": ["rm"]})


@pytest.mark.parametrize("user", ["root", "Root", "-x", "a,b", "a b", "1000", ""])
def test_users_that_must_not_reach_slurm_do_not_cross(user: str) -> None:
    """Usernames are checked again on the head node, in both lists."""
    assert "may reach SLURM" in refused(users=[user])
    with pytest.raises(ValidationError, match="may reach SLURM"):
        ReconcileRequest.model_validate({"items": [], "removable_users": [user]})


def test_usernames_cross_as_waldur_spells_them() -> None:
    """Capitals are kept by some slurmdbd; who compares names folds them."""
    assert desired(users=("Alice",), former=("Bob",)).users == ("Alice",)


@pytest.mark.parametrize("name", ["root", "-x", "a,b", "A", "a b", "a" * 42, "x=y"])
def test_accounts_that_must_not_reach_slurm_do_not_cross(name: str) -> None:
    """Account names are checked again on the head node."""
    assert "is not an account's name" in refused(backend_id=name)
    with pytest.raises(ValidationError, match="is not an account's name"):
        CollectRequest(accounts={name: RESOURCE}, periods=())


def test_what_is_measured_or_looked_for_is_named() -> None:
    """Only an allocation may have no account yet."""
    assert desired(backend_id="").backend_id == ""
    for asked in ({"accounts": {"": RESOURCE}, "periods": ()}, {"accounts": [""]}):
        model = CollectRequest if "periods" in asked else CheckRequest
        with pytest.raises(ValidationError, match="Value error, an account's name is empty"):
            model.model_validate(asked)


@pytest.mark.parametrize("text", ["", "1", "g" * 32, RESOURCE.upper(), f"{RESOURCE} "])
def test_a_resource_is_named_by_its_uuid(text: str) -> None:
    """Nothing but 32 lower-case hex digits becomes a marker."""
    assert "is not a uuid" in refused(resource=text)


@pytest.mark.parametrize("limit", [12.7, -2, MAX_MINUTES + 1, "many", None])
def test_limits_are_whole_and_from_unlimited_on(limit: object) -> None:
    """Fractions (SLURM would store 0), other negatives and huge numbers are refused."""
    assert "limits.cpu" in refused(limits={"cpu": limit})


def test_limits_name_a_tres() -> None:
    """The name of a limit can't smuggle another option in."""
    assert "is not a TRES" in refused(limits={"cpu=1 Parent": 5})


def test_the_clusters_own_limits_may_be_anything_it_printed() -> None:
    """An outcome can tell a limit that an administrator set beyond ours."""
    limits = {"cpu": 2**64 - 2}

    outcome = Outcome(resource=RESOURCE, status=Status.APPLIED, limits=limits)

    assert outcome.limits == limits


def test_an_allocation_without_users_leaves_them_alone() -> None:
    """Nothing said about limits, users and blocking is not the same as none of them."""
    item = desired(Intent.UPDATE)

    assert (item.limits, item.users, item.paused) == (None, None, None)
    assert desired(Intent.UPDATE, users=()).users == ()


def test_a_message_cannot_be_changed() -> None:
    """Values are frozen, so that what was checked stays what it was."""
    with pytest.raises(ValidationError, match="frozen"):
        desired().resource = uuid("ff")  # type: ignore[misc]
