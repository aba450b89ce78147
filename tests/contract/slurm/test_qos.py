"""Which QoS jobs may run in: what accounts show, how they are switched, what becomes of jobs."""

from __future__ import annotations

import pytest

from tests.contract.slurm.lab import Answer, Lab

SWITCH = ("qos=limited", "defaultqos=limited")
BACK = ("qos=", "defaultqos=-1")
NO_ACCESS = "These associations don't have access to their default qos."


def _ready(cluster: Lab) -> None:
    cluster.add_qos("limited", "vip")
    cluster.add_account("p1")
    cluster.add_account("a1", "p1")
    cluster.add_users("alice,bob", "a1,waldur", "waldur")


def _submitted(cluster: Lab, *more: str) -> str:
    """Submit a job once slurmctld takes it, and return its QoS."""
    cluster.until(lambda: cluster.submit_once("alice", "a1", "--begin=now+1hour", *more))
    return cluster.queue("a1", "%q")[-1]


def _said_no(cluster: Lab, done: Answer) -> bool:
    """Tell whether a default outside its list was refused: in 22.05 with exit code 0."""
    return NO_ACCESS in done.err and done.code == (0 if cluster.old else 1)


def test_whoever_has_none_of_their_own_shows_the_inherited_one(cluster: Lab) -> None:
    """Accounts and users, down from root; there is no default."""
    _ready(cluster)

    inherited = ("normal", "")
    assert cluster.qos_of("a1") == {"": inherited, "alice": inherited, "bob": inherited}
    assert cluster.qos_of("root") == {"": inherited, "root": inherited}


def test_several_are_shown_in_alphabetical_order(cluster: Lab) -> None:
    """In whatever order they are set; users and accounts below have the same."""
    _ready(cluster)

    assert cluster.modify("p1", "qos=vip,normal,limited").code == 0

    assert cluster.tree()["p1"].qos == "limited,normal,vip"
    assert cluster.qos_of("a1")["alice"] == ("limited,normal,vip", "")


def test_an_account_is_switched_and_switched_back_by_one_command_each(cluster: Lab) -> None:
    """With all its users; again is exit 0, whatever was before."""
    _ready(cluster)

    for _ in range(2):
        assert cluster.modify("a1", *SWITCH).code == 0
        switched = ("limited", "limited")
        assert cluster.qos_of("a1") == {"": switched, "alice": switched, "bob": switched}
    assert cluster.tree()["p1"].qos == "normal"
    for _ in range(2):
        assert cluster.modify("a1", *BACK).code == 0
        assert set(cluster.qos_of("a1").values()) == {("normal", "")}


def test_it_can_be_switched_together_with_its_limits(cluster: Lab) -> None:
    """All settings of one command are carried out, in any case."""
    _ready(cluster)

    assert cluster.modify("a1", "QOS=limited", "DefaultQOS=limited", "GrpTRESMins=cpu=7").code == 0
    assert (cluster.tree()["a1"].qos, cluster.tree()["a1"].limits) == ("limited", "cpu=7")


def test_an_account_above_switches_those_below(cluster: Lab) -> None:
    """Unless they have a list of their own."""
    _ready(cluster)
    cluster.add_account("a2", "p1")
    cluster.modify("a2", "qos=normal")

    assert cluster.modify("p1", *SWITCH).code == 0
    assert {name: row.qos for name, row in cluster.tree().items()} == {
        "waldur": "normal",
        "p1": "limited",
        "a1": "limited",
        "a2": "normal",
    }


@pytest.mark.parametrize("words", [("qos=limited",), SWITCH])
def test_jobs_of_a_switched_account_run_in_its_qos_and_no_other(
    cluster: Lab, words: tuple[str, ...]
) -> None:
    """A list of one is a default as well."""
    _ready(cluster)
    cluster.modify("a1", *words)

    no = cluster.refused("alice", "a1", "--qos=normal")

    assert no.code == 1
    assert "Invalid qos specification" in no.err
    assert _submitted(cluster) == "limited"
    assert _submitted(cluster, "--qos=limited") == "limited"


def test_jobs_of_an_account_that_was_switched_back_run_as_before(cluster: Lab) -> None:
    """The other QoS is refused again."""
    _ready(cluster)
    cluster.modify("a1", *SWITCH)
    cluster.refused("alice", "a1", "--qos=normal")

    cluster.modify("a1", *BACK)

    assert "Invalid qos specification" in cluster.refused("alice", "a1", "--qos=limited").err
    assert _submitted(cluster) == "normal"


def test_a_running_job_goes_on_and_a_pending_one_waits_until_it_is_switched_back(
    cluster: Lab,
) -> None:
    """Both keep the QoS that they were submitted with."""
    _ready(cluster)
    runs = cluster.running("alice", "a1")
    waits = cluster.pending("bob", "a1")
    cluster.modify("a1", *SWITCH)
    cluster.refused("alice", "a1", "--qos=normal")

    cluster.begin(waits)
    cluster.until(lambda: f"{waits}|PENDING|normal|InvalidQOS" in cluster.queue("a1", _STATE))
    assert f"{runs}|RUNNING|normal|None" in cluster.queue("a1", _STATE)
    cluster.modify("a1", *BACK)
    cluster.until(lambda: f"{waits}|RUNNING|normal|None" in cluster.queue("a1", _STATE))


_STATE = "%i|%T|%q|%r"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("qos=nosuch", "defaultqos=nosuch"), "You gave a bad qos 'nosuch'"),
        (("qos=limited,nosuch",), "You gave a bad qos 'nosuch'"),
        (("defaultqos=nosuch",), "You gave a bad default qos 'nosuch'"),
        (("defaultqos=",), "You gave a bad default qos ''"),
    ],
)
def test_an_unknown_qos_refuses_all_settings(
    cluster: Lab, words: tuple[str, ...], text: str
) -> None:
    """Nothing is changed; an empty default is unknown, too."""
    _ready(cluster)

    done = cluster.modify("a1", *words, "GrpTRESMins=cpu=7")

    assert done.code == 1
    assert text in done.err
    assert (cluster.tree()["a1"].qos, cluster.tree()["a1"].limits) == ("normal", "")


def test_a_list_without_the_default_in_force_is_refused(cluster: Lab) -> None:
    """So the default must be set along with it; 22.05 says so with exit code 0."""
    _ready(cluster)
    cluster.modify("p1", "defaultqos=normal")

    assert _said_no(cluster, cluster.modify("a1", "qos=limited"))
    assert cluster.qos_of("a1")[""] == ("normal", "normal")
    cluster.modify("a1", *SWITCH)
    assert cluster.qos_of("a1")[""] == ("limited", "limited")
    assert _said_no(cluster, cluster.modify("a1", "qos="))
    assert cluster.qos_of("a1")[""] == ("limited", "limited")
    cluster.modify("a1", *BACK)
    assert cluster.qos_of("a1")[""] == ("normal", "normal")


def test_a_user_with_a_list_of_their_own_keeps_an_account_from_being_switched(
    cluster: Lab,
) -> None:
    """Where that list lacks the new default: the message names the user, and nothing changes."""
    _ready(cluster)
    cluster.modify_users("alice", "a1", "qos=normal,vip")

    done = cluster.modify("a1", *SWITCH)

    assert _said_no(cluster, done)
    assert "U = alice" in done.err
    assert "U = bob" not in done.err
    assert cluster.qos_of("a1") == {
        "": ("normal", ""),
        "alice": ("normal,vip", ""),
        "bob": ("normal", ""),
    }


def test_a_user_with_a_default_of_their_own(cluster: Lab) -> None:
    """22.05 switches the account and lets it stand outside the list, later ones refuse."""
    _ready(cluster)
    cluster.modify_users("alice", "a1", "defaultqos=normal")

    done = cluster.modify("a1", *SWITCH)

    assert (done.code, NO_ACCESS in done.err) == ((0, False) if cluster.old else (1, True))
    assert cluster.tree()["a1"].qos == ("limited" if cluster.old else "normal")


def test_the_qos_that_there_are_are_listed(cluster: Lab) -> None:
    """In the order in which they were added."""
    _ready(cluster)

    done = cluster.sacctmgr("show", "qos", "format=name")

    assert (done.code, done.out.splitlines()) == (0, ["Name", "normal", "limited", "vip"])
