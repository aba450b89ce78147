"""What is asked about records, rights and removed accounts, and how the answers are understood."""

from __future__ import annotations

import pytest

from slurm_tasks.errors import AccessDeniedError, ParseError
from slurm_tasks.model.cluster import Account
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.commands import (
    Command,
    FindJobs,
    ShowAccounting,
    ShowLevel,
    ShowLineage,
    ShowStatistics,
    ShowUsed,
    WhoAmI,
)

APRIL, MAY = 1775001600, 1777593600
CONFIGURATION = """Configuration data as of 2026-11-27T10:57:02
PrivateData            = none
SLURM_VERSION          = {client}

SlurmDBD configuration:
PrivateData            = {private}
PurgeJobAfter          = NONE
SLURMDBD_VERSION       = {release}
"""


def configuration(
    private: str = "none", release: str = "24.11.5", client: str = "24.11.5"
) -> list[str]:
    """Return the lines of `sacctmgr show configuration`."""
    text = CONFIGURATION.format(private=private, release=release, client=client)
    return text.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("private", "release", "hides"),
    [
        ("none", "22.05.8", False),
        ("none", "24.11.5", False),
        ("usage,users", "24.11.5", False),
        ("jobs,usage", "22.05.8", True),
        ("none", "26.05.5", True),  # it says so whatever its PrivateData is
    ],
)
def test_whether_jobs_may_be_hidden_is_slurmdbds_setting(
    private: str, release: str, hides: bool
) -> None:
    """Not that of the same name of slurm.conf."""
    found = ShowAccounting("lab").parse(configuration(private, release))

    assert (found.may_hide_jobs, found.purge) == (hides, None)


@pytest.mark.parametrize(("client", "known"), [("22.05.8", False), ("24.11.5", True), ("?", False)])
def test_whether_lineage_is_listed_depends_on_the_commands_release(
    client: str, known: bool
) -> None:
    """On that of sacctmgr, which may be older than slurmdbd."""
    assert ShowAccounting("lab").parse(configuration(client=client)).has_lineage is known


def test_jobs_are_looked_for_by_their_ends_only() -> None:
    """In a window that may begin with the clock; 0 would mean today."""
    argv = FindJobs("lab", 0, MAY, (APRIL, MAY), ("a1", "a2")).argv()

    assert "--starttime=1970-01-01T00:00:01" in argv
    assert "--endtime=2026-05-01T00:00:00" in argv
    assert "--accounts=a1,a2" in argv
    assert {"--allocations", "--allusers", "--duplicates", "--clusters=lab"} <= set(argv)
    many = tuple(f"a{number}" for number in range(2001))
    for everybody in ((), many):
        argv = FindJobs("lab", 1, MAY, (APRIL, MAY), everybody).argv()
        assert not any(word.startswith("--accounts") for word in argv)


@pytest.mark.parametrize(
    ("row", "inside"),
    [
        (f"{APRIL - 9}|{APRIL}|9", False),
        (f"{APRIL - 9}|{APRIL + 1}|10", True),
        (f"{APRIL + 9}|Unknown|7", True),
        (f"{MAY - 1}|{MAY + 1}|2", True),
        (f"{MAY}|{MAY + 1}|1", False),
        (f"{MAY}|Unknown|1", False),
        ("Unknown|Unknown|0", False),
        (f"None|{APRIL + 5}|0", False),
    ],
)
def test_a_run_counts_where_it_ran_in_the_doubted_time(row: str, inside: bool) -> None:
    """One that has not started is a record all the same."""
    command = FindJobs("lab", 1, MAY, (APRIL, MAY), ("a1",))

    assert command.parse(["Start|End|ElapsedRaw\n", f"{row}\n"]) == (1, inside)
    assert command.parse(["Start|End|ElapsedRaw\n"]) == (0, False)


def association(account: str, user: str, raw: str, minutes: str) -> str:
    """Make a line of `scontrol show assoc_mgr`, as 26.05 prints it."""
    return (
        f"ClusterName=lab Account={account} UserName={user} Partition= Priority=0 ID=1"
        f" SharesRaw/Norm/Level/Factor=1/0.00/1/0.00 UsageRaw/Norm/Efctv={raw}/1.00/1.00"
        f" ParentAccount= Lineage=/ DefAssoc=No GrpJobs=N(0) GrpWall=N(2.02) GrpTRES=cpu=N(0)"
        f" GrpTRESMins={minutes} GrpTRESRunMins=cpu=N(0) MaxJobs= Comment=(null)\n"
    )


def test_usage_that_slurmctld_counts_is_told_by_account() -> None:
    """By its raw usage, or where nothing is weighted by its TRES-minutes; not by users."""
    lines = [
        "Association Records\n",
        association("root", "", "601.50", "cpu=N(9),mem=N(0)"),
        association("root", "root(0)", "0.00", "cpu=N(0)"),
        association("a1", "", "0.00", "cpu=100(0),license/par(en)=5(20)"),
        association("a2", "", "0.00", "cpu=100(0),license/par(en)=5(0)"),
        association("a2", "alice(2001)", "3.00", "cpu=N(1)"),
    ]

    assert ShowUsed("lab").parse(lines) == {"root": True, "a1": True, "a2": False}
    with pytest.raises(ParseError, match="root"):
        ShowUsed("lab").parse(lines[3:])


def test_the_lineage_of_older_releases_is_the_parents_of_accounts() -> None:
    """A line end in a description, and another cluster's accounts, are passed over."""
    rows = [
        "Cluster|Account|ParentName|User|Org|Descr\n",
        "lab|root||||default root account\n",
        "lab|a1|p1||o|waldur|x\n",
        "lab|group|a1||o|two\n",
        "lines\n",
        "lab|group||alice|o|two\n",
        "other|a2|p1||o|x\n",
        "|a3|||o|x\n",
    ]

    found = ShowLineage("lab", lineage=False).parse(rows)

    assert found == {
        "root": Account("root", "", "default root account"),
        "a1": Account("a1", "p1", "waldur|x"),
        "group": Account("group", "a1", "two"),
    }


def test_the_lineage_of_newer_releases_is_also_that_of_users() -> None:
    """24.11 keeps no row of a removed account of its own."""
    rows = [
        "Cluster|Account|ParentName|User|Lineage|Descr\n",
        "lab|waldur|root||/waldur/|waldur\n",
        "lab|a1||alice|/waldur/p1/a1/0-alice/|ours\n",
        "lab|group||bob|/waldur/p1/a1/0-x/group/0-bob/|theirs\n",
    ]

    found = ShowLineage("lab", lineage=True).parse(rows)

    assert found == {
        "waldur": Account("waldur", "root", "waldur"),
        "p1": Account("p1", "waldur"),
        "a1": Account("a1", "p1", "ours"),
        "0-x": Account("0-x", "a1"),
        "group": Account("group", "0-x", "theirs"),
    }


class Rights:
    """A slurmdbd that knows who we are."""

    def __init__(self, level: str, user: str = "waldur-slurm") -> None:
        self.level, self.user = level, user

    def read(self, command: Command[object]) -> object:
        """Answer what is asked."""
        command.argv()
        match command:
            case ShowStatistics() if self.level != "Administrator":
                raise AccessDeniedError(["sacctmgr"], "refused", 1)
            case WhoAmI():
                return command.parse([f"{self.user}\n"])
            case ShowLevel():
                return command.parse(["User|Admin\n", f"{command.user}|{self.level}\n"])
        return None

    def write(self, command: object, inherit: tuple[int, ...] = ()) -> str:
        """Never called."""
        raise AssertionError(command, inherit)


@pytest.mark.parametrize(
    ("level", "user", "sees"),
    [
        ("Administrator", "waldur-slurm", True),
        ("Operator", "waldur-slurm", True),
        ("None", "waldur-slurm", False),
        ("Operator", "a user", False),
    ],
)
def test_administrators_and_operators_see_all_jobs(level: str, user: str, sees: bool) -> None:
    """Slurmdbd tells its statistics to the first; of the others it knows the level by name."""
    assert SlurmCluster(Rights(level, user), "lab").sees_all_jobs() is sees  # type: ignore[arg-type]
