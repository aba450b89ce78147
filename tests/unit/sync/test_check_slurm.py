"""What `slurm-tasks check` says of a cluster, line by line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_tasks.model.cluster import Account, Association, Key
from slurm_tasks.model.findings import Finding, Verdict
from slurm_tasks.model.messages import CheckRequest
from slurm_tasks.model.plan import QosRules, Rules
from slurm_tasks.model.purge import Purge
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.submission import CLOSED
from slurm_tasks.sync.check_slurm import (
    ACCOUNT,
    ACCOUNTS,
    ASSOCIATIONS,
    HOMES,
    LIMITS,
    QOS,
    RECORDS,
    TRES,
    findings,
)
from tests.support.fakes import FakeSlurm
from tests.unit.build import ACCOUNT as STANDING
from tests.unit.build import PREFIXES, RULES, cluster, standing_cluster
from tests.unit.sync.test_cluster import node

SOUND = {
    "AccountingStorageEnforce": "associations,limits,qos",
    "PriorityType": "priority/multifactor",
    "PriorityUsageResetPeriod": "MONTHLY",
    "PriorityDecayHalfLife": "00:00:00",
}
STOPPED = Qos(user=0)
MONTHLY = CheckRequest(tres=("cpu", "mem"), limit_periods={"cpu": "month"})


def check(
    slurm: FakeSlurm, request: CheckRequest = MONTHLY, what: str = "", **changed: object
) -> list[Finding]:
    """Look at a cluster; return the findings about one thing."""
    found = list(findings(node(slurm, **changed), request))
    return [finding for finding in found if not what or finding.what == what]


def sound(**changed: str) -> FakeSlurm:
    """Make a cluster that is as it should be, with some of its configuration changed."""
    return FakeSlurm(standing_cluster(), config={**SOUND, **changed})


def test_a_sound_cluster_has_only_one_warning() -> None:
    """That of the default account, in which nothing limits users."""
    found = check(sound())

    assert [(f.what, f.verdict) for f in found if f.verdict is not Verdict.OK] == [
        (ACCOUNT, Verdict.WARNING)
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AccountingStorageEnforce": "associations"}, "SLURM enforces no limits"),
        ({"PriorityType": "priority/basic"}, "counts no usage"),
        ({"PriorityDecayHalfLife": "7-00:00:00"}, "fades away"),
        ({"PriorityUsageResetPeriod": "YEARLY"}, "set that to MONTHLY"),
        ({"PriorityUsageResetPeriod": "NONE"}, "set that to MONTHLY"),
    ],
)
def test_a_limit_that_does_not_hold_is_a_warning(changed: dict[str, str], said: str) -> None:
    """Not enforced, not counted, fading, or counted over another period than Waldur's."""
    warnings = [f for f in check(sound(**changed), what=LIMITS) if f.verdict is Verdict.WARNING]

    assert [said in finding.message for finding in warnings] == [True]


@pytest.mark.parametrize(
    ("period", "reset"),
    [("month", "MONTHLY"), ("quarterly", "QUARTERLY"), ("annual", "YEARLY"), ("total", "NONE")],
)
def test_equal_periods_are_fine(period: str, reset: str) -> None:
    """Each of Waldur's has one of SLURM's."""
    request = CheckRequest.model_validate({"limit_periods": {"cpu": period}})

    found = check(sound(PriorityUsageResetPeriod=reset), request, LIMITS)

    assert {finding.verdict for finding in found} == {Verdict.OK}


def test_periods_that_nobody_set_are_not_compared() -> None:
    """A component without limit_period says nothing about resets."""
    found = check(sound(PriorityUsageResetPeriod="DAILY"), CheckRequest(), LIMITS)

    assert {finding.verdict for finding in found} == {Verdict.OK}


def test_missing_accounts_are_named() -> None:
    """With how many there are, and what makes them again."""
    (found,) = check(sound(), CheckRequest(accounts=(STANDING, "gone1", "gone2")), ACCOUNTS)

    assert found.verdict is Verdict.WARNING
    assert "2 of 3" in found.message
    assert "gone1, gone2; `slurm-tasks apply`" in found.message


def test_accounts_that_are_all_there_are_fine() -> None:
    """None is fine, too."""
    assert check(sound(), CheckRequest(accounts=(STANDING,)), ACCOUNTS)[0].verdict is Verdict.OK


ALICE = Key(STANDING, "alice")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({ALICE: None}, f"slurmctld doesn't know 1 ({STANDING}/alice). Run `scontrol reconf"),
        ({Key(STANDING): None, ALICE: None}, f"doesn't know 2 ({STANDING}, {STANDING}/alice)"),
        ({Key(STANDING, "bob"): Association()}, f"slurmdbd doesn't, 1 ({STANDING}/bob)"),
        ({Key(STANDING): Association({"cpu": 9})}, f"other limits for 1 ({STANDING})"),
        ({ALICE: Association(blocked=True)}, f"other limits for 1 ({STANDING}/alice)"),
    ],
)
def test_what_never_reached_slurmctld_is_told(
    known: dict[Key, Association | None], said: str
) -> None:
    """Added, removed or changed in vain; with the command that mends it."""
    state = standing_cluster("alice", limits={"cpu": 5})
    there = {**state.associations(), **known}
    slurm = replace(
        sound(), state=state, in_force={pair: held for pair, held in there.items() if held}
    )

    (found,) = check(slurm, what=ASSOCIATIONS)

    assert found.verdict is Verdict.FAILED
    assert said in found.message
    slurm.in_force = state.associations()
    assert check(slurm, what=ASSOCIATIONS)[0].verdict is Verdict.OK


def test_users_whom_slurmctld_can_not_resolve_are_named() -> None:
    """In accounts that are marked or that Waldur names; others are a site's own matter."""
    old = Account("hpc_old", "root", users=frozenset({"carol"}))
    physics = Account("physics", "root", users=frozenset({"eve"}))
    state = standing_cluster("alice").with_account(old).with_account(physics)
    keys = (ALICE, Key("hpc_old", "carol"), Key("physics", "eve"))
    slurm = replace(sound(), state=state, without_uid=frozenset(keys))

    found = check(slurm, CheckRequest(accounts=("hpc_old",)), ASSOCIATIONS)

    assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.FAILED]
    assert f"no Unix user for 2 ({STANDING}/alice, hpc_old/carol)" in found[1].message


def _default(account: Account) -> FakeSlurm:
    return FakeSlurm(cluster(account), config=SOUND)


@pytest.mark.parametrize(
    ("account", "warned"),
    [
        (Account("idle", "root"), True),
        (Account("idle", "root", limits={"cpu": 0}), True),
        (Account("idle", "root", limits={"cpu": 0, "mem": 0}), False),
        (Account("idle", "root", submission=CLOSED), False),
    ],
)
def test_free_jobs_in_the_default_account_are_a_warning(account: Account, warned: bool) -> None:
    """Unless it accepts none, or limits all that is billed; with the command that mends it."""
    rules = Rules(PREFIXES, "waldur", "idle")

    found = check(_default(account), what=ACCOUNT, rules=rules)

    messages = [finding.message for finding in found if finding.verdict is Verdict.WARNING]
    assert bool(messages) is warned
    if warned:
        assert "sacctmgr modify account where name=idle set GrpSubmitJobs=0" in messages[0]


def test_the_root_of_the_tree_is_not_to_be_blocked() -> None:
    """Where it is the default account as well, another one is advised."""
    messages = [f.message for f in check(sound(), what=ACCOUNT) if f.verdict is Verdict.WARNING]

    assert "SLURM_USER_DEFAULT_ACCOUNT" in messages[0]
    assert "modify account" not in messages[0]


def test_without_a_default_account_nobody_runs_for_free() -> None:
    """Users have the allocation that they join."""
    found = check(sound(), what=ACCOUNT, rules=Rules(PREFIXES, "waldur", None))

    assert {finding.verdict for finding in found} == {Verdict.OK}


def test_a_tres_that_the_cluster_lacks_is_named() -> None:
    """The orders would be refused."""
    (found,) = check(sound(), CheckRequest(tres=("cpu", "gres/fpga")), TRES)

    assert (found.verdict, "gres/fpga" in found.message) == (Verdict.FAILED, True)


def test_a_qos_that_is_missing_is_named() -> None:
    """Those that settings name must be there before a flag is set."""
    rules = replace(RULES, qos=QosRules(paused="stopped", usual="normal"))

    (found,) = check(sound(), what=QOS, rules=rules)

    assert (found.verdict, "stopped" in found.message) == (Verdict.FAILED, True)
    slurm = replace(sound(), qos={"stopped": STOPPED, "normal": Qos()})
    assert check(slurm, what=QOS, rules=rules)[0].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("paused", "known", "said"),
    [
        ("stopped", {"stopped": STOPPED}, ""),
        ("stopped", {"stopped": Qos()}, "QoS stopped (SLURM_PAUSED_QOS) takes jobs"),
        ("stopped", {"stopped": STOPPED, "big": Qos(9, 9)}, ""),
        (None, {"big": Qos(9, 9), "other": Qos(9)}, "QoS big have limits of their own"),
        (None, {"other": Qos(9), "another": Qos(None, 9)}, ""),
    ],
)
def test_a_qos_that_lets_jobs_into_paused_accounts_is_a_warning(
    paused: str | None, known: dict[str, Qos], said: str
) -> None:
    """The paused one itself, or one that overrides both of an account's limits."""
    rules = replace(RULES, qos=QosRules(paused=paused))

    found = check(replace(sound(), qos=known), what=QOS, rules=rules)

    warnings = [finding.message for finding in found if finding.verdict is Verdict.WARNING]
    assert len(warnings) == bool(said)
    assert all(said in text and "MaxSubmitJobsPerUser=0" in text for text in warnings)


@pytest.mark.parametrize(
    ("enforced", "warned"), [("associations,limits", True), ("associations,limits,qos", False)]
)
def test_a_qos_that_binds_nobody_is_a_warning(enforced: str, warned: bool) -> None:
    """Without qos in AccountingStorageEnforce any other may be asked for."""
    rules = replace(RULES, qos=QosRules(downscaled="normal"))

    found = check(sound(AccountingStorageEnforce=enforced), what=QOS, rules=rules)

    assert any(finding.verdict is Verdict.WARNING for finding in found) is warned


def test_a_helper_that_is_missing_is_told() -> None:
    """Before the first home directory is needed."""
    (found,) = check(sound(), what=HOMES, homes=True)
    assert (found.verdict, "/usr/sbin/mkhomedir_helper" in found.message) == (Verdict.FAILED, True)

    there = replace(sound(), homes={"/usr/sbin/mkhomedir_helper"})
    assert check(there, what=HOMES, homes=True)[0].verdict is Verdict.OK
    assert check(there, what=HOMES) == []


def test_a_purge_of_job_records_is_told() -> None:
    """With the moment from which on months can be reported."""
    (kept,) = check(sound(), what=RECORDS)
    (purged,) = check(replace(sound(), purge=Purge(12, "months")), what=RECORDS)

    assert "keeps all" in kept.message
    assert "complete from" in purged.message
