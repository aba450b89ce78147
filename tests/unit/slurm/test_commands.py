"""SLURM's commands: their arguments, and how their output is understood."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slurm_tasks.errors import ParseError
from slurm_tasks.model import changes, names
from slurm_tasks.model.changes import Change
from slurm_tasks.model.cluster import Account, Association, Key, UserAssociation
from slurm_tasks.model.purge import Purge
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.submission import CLOSED, OPEN, JobLimit, Submission
from slurm_tasks.slurm import commands
from slurm_tasks.slurm.commands import (
    AccountUsage,
    Command,
    RanBy,
    ShowAccounting,
    ShowAccounts,
    ShowAssociations,
    ShowConfig,
    ShowDefaults,
    ShowQos,
    ShowTres,
    UnixUsers,
    Write,
    for_change,
)

HEADER = ShowAccounts._HEADER
COLUMNS = ShowAccounts._FORMAT.split(",")
SACCTMGR = ["--parsable2", "--immediate"]
APRIL, MAY = 1775001600, 1777593600


def argvs(change: Change) -> list[list[str]]:
    """Return the arguments of a change's commands."""
    return [command.argv() for command in for_change(change, "lab")]


def line(account: str, parent: str = "", **columns: str) -> str:
    """Make a row of the listing of accounts."""
    values = {"cluster": "lab", "account": account, "parentname": parent, "description": "x"}
    return "|".join({**dict.fromkeys(COLUMNS, ""), **values, **columns}[name] for name in COLUMNS)


def listing(*rows: str) -> list[str]:
    """Make a listing of accounts with the header, root and its user."""
    text = "default root account"
    root = (line("root", description=text), line("root", user="root", description=text))
    return [f"{row}\n" for row in (HEADER, *root, *rows)]


def accounts(*rows: str) -> dict[str, Account]:
    """Parse a listing of accounts."""
    return dict(ShowAccounts("lab").parse(listing(*rows)).accounts)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            changes.AddAccount("a1", "p1", "A 1", "c", {"mem": 5, "cpu": 6}),
            (
                "add account name=a1 cluster=lab parent=p1 description=A 1 organization=c"
                " GrpTRESMins=cpu=6,mem=5"
            ),
        ),
        (
            changes.AddAccount("c1", "root", "d", "c1"),
            "add account name=c1 cluster=lab parent=root description=d organization=c1",
        ),
        (
            changes.SetParent("p1", "c2"),
            "modify account where name=p1 cluster=lab set parent=c2",
        ),
        (
            changes.SetLimits("a1", {"gres/gpu": 0, "cpu": -1}),
            "modify account where name=a1 cluster=lab set GrpTRESMins=cpu=-1,gres/gpu=0",
        ),
        (
            changes.SetBlocked("a1", Submission(JobLimit(50), JobLimit()).close()),
            (
                "modify account where name=a1 cluster=lab set GrpSubmitJobs=0 MaxSubmitJobs=0"
                " GrpJobsAccrue=1000000050 MaxJobsAccrue=-1"
            ),
        ),
        (
            changes.SetBlocked("a1", Submission(JobLimit(50), JobLimit(None, 7))),
            (
                "modify account where name=a1 cluster=lab set GrpSubmitJobs=50 MaxSubmitJobs=-1"
                " GrpJobsAccrue=-1 MaxJobsAccrue=7"
            ),
        ),
        (
            changes.SetQos("a1", "limited"),
            "modify account where name=a1 cluster=lab set qos=limited defaultqos=limited",
        ),
        (
            changes.SetQos("a1", None),
            "modify account where name=a1 cluster=lab set qos= defaultqos=-1",
        ),
        (
            changes.SetUsersBlocked(("alice", "bob"), "a1", CLOSED),
            (
                "modify user where name=alice,bob account=a1 partition= cluster=lab set"
                " GrpSubmitJobs=0 MaxSubmitJobs=0 GrpJobsAccrue=-1 MaxJobsAccrue=-1"
            ),
        ),
        (
            changes.SetUsersBlocked(("alice",), "a1", OPEN, "main"),
            (
                "modify user where name=alice account=a1 partition=main cluster=lab set"
                " GrpSubmitJobs=-1 MaxSubmitJobs=-1 GrpJobsAccrue=-1 MaxJobsAccrue=-1"
            ),
        ),
        (
            changes.RemoveCoordinators(("alice", "bob"), ("a1", "p1")),
            "remove coordinator account=a1,p1 names=alice,bob",
        ),
        (
            changes.AddUsers(("alice", "bob"), "a1", "waldur"),
            "add user name=alice,bob cluster=lab account=a1,waldur DefaultAccount=waldur",
        ),
        (
            changes.AddUsers(("alice",), "a1", "a1"),
            "add user name=alice cluster=lab account=a1 DefaultAccount=a1",
        ),
        (
            changes.AddUsers(("alice",), "a1"),
            "add user name=alice cluster=lab account=a1",
        ),
        (
            changes.SetDefault(("alice", "bob"), "a1"),
            "modify user where name=alice,bob cluster=lab set DefaultAccount=a1",
        ),
        (
            changes.RemoveUsers(("alice", "bob"), "a1"),
            "remove user where name=alice,bob account=a1 cluster=lab",
        ),
        (changes.RemoveAccount("a1"), "remove account where name=a1"),
        (changes.RemoveAccount("a1", shared=True), "remove account where name=a1 cluster=lab"),
    ],
)
def test_a_change_is_one_sacctmgr_command(change: Change, expected: str) -> None:
    """Every change names its accounts, users and the cluster before anything is set."""
    (command,) = for_change(change, "lab")

    assert command.tool == "sacctmgr"
    assert isinstance(command, Write)
    assert command.argv()[:2] == SACCTMGR
    assert " ".join(command.argv()[2:]) == expected


def test_a_description_with_blanks_is_one_argument() -> None:
    """No shell is between us and SLURM."""
    (argv,) = argvs(changes.AddAccount("a1", "p1", "two words", "c1"))

    assert "description=two words" in argv


def test_jobs_are_cancelled_by_account_or_by_user_in_it() -> None:
    """One scancel for all of an account's jobs, or one for each of several users."""
    everybody = for_change(changes.CancelJobs("a1"), "lab")
    some = for_change(changes.CancelJobs("a1", ("alice", "bob")), "lab")

    assert [c.argv() for c in everybody] == [["--clusters=lab", "--account=a1"]]
    assert [c.argv() for c in some] == [
        ["--clusters=lab", "--account=a1", "--user=alice"],
        ["--clusters=lab", "--account=a1", "--user=bob"],
    ]
    assert {c.tool for c in some} == {"scancel"}


def test_a_home_is_made_by_pams_helper() -> None:
    """The helper's path is absolute; it takes the user and the umask."""
    command = commands.MakeHome("lab", "alice", "/usr/sbin/mkhomedir_helper", "0077")

    assert (command.program, command.argv()) == ("/usr/sbin/mkhomedir_helper", ["alice", "0077"])


def test_sudo_makes_a_home_where_it_is_needed() -> None:
    """It never asks for a password, and runs the helper with nothing but user and umask."""
    command = commands.MakeHome("lab", "alice", "/sbin/mkhome", "022", "/usr/bin/sudo")

    assert (command.program, command.argv()) == (
        "/usr/bin/sudo",
        ["-n", "/sbin/mkhome", "alice", "022"],
    )


def test_homes_are_read_from_passwd() -> None:
    """Who isn't known isn't there; the sixth field is the home directory."""
    command = commands.ResolveUsers("lab", ("alice", "bob"), "/usr/bin/getent")

    assert (command.program, command.argv()) == ("/usr/bin/getent", ["passwd", "alice", "bob"])
    line = "alice:x:1001:1001:Alice,,:/home/alice:/bin/bash\n"
    assert command.parse([line]) == UnixUsers({"alice": "/home/alice"})


def passwd(*names: str) -> list[str]:
    """Print users as getent does."""
    return [f"{name}:*:1001:1001::/home/{name}:/bin/bash\n" for name in names]


@pytest.mark.parametrize(
    ("printed", "homes", "unclear"),
    [
        (("bob", "alice"), {"alice": "alice", "bob": "bob"}, ()),
        (("Alice", "bob@uni"), {"alice": "Alice", "bob": "bob@uni"}, ()),
        (("alice", "bob@uni"), {"alice": "alice", "bob": "bob@uni"}, ()),
        (("bob",), {"bob": "bob"}, ()),
        (("bob@uni",), {}, ("alice", "bob")),
        ((), {}, ()),
    ],
)
def test_who_answers_is_told_by_name_or_by_order(
    printed: tuple[str, ...], homes: dict[str, str], unclear: tuple[str, ...]
) -> None:
    """A directory's own spelling is no other user; one of two could be either of them."""
    found = commands.ResolveUsers("lab", ("alice", "bob")).parse(passwd(*printed))

    assert found == UnixUsers({k: f"/home/{v}" for k, v in homes.items()}, frozenset(unclear))


@pytest.mark.parametrize("line", ["alice", "alice:x:1:1::/home/alice", ":".join("abcdefgh")])
def test_a_line_that_passwd_does_not_have_is_an_error(line: str) -> None:
    """It has seven fields."""
    with pytest.raises(ParseError, match=f"getent passwd printed '{line}'"):
        commands.ResolveUsers("lab", ("alice",)).parse([line])


def test_nobody_asks_for_all_unix_users() -> None:
    """Without a name getent would list them."""
    with pytest.raises(ValueError, match=r"^without a user's name all would be listed"):
        commands.ResolveUsers("lab", ()).argv()


def test_a_home_is_looked_for_by_its_path() -> None:
    """What stat names is there; a path that isn't absolute never gets to it."""
    command = commands.FindPath("lab", "/home/alice")

    assert command.argv() == ["-c", "%n", "/home/alice"]
    assert (command.parse(["/home/alice\n"]), command.parse([])) == (True, False)
    with pytest.raises(ValueError, match="absolute"):
        commands.FindPath("lab", "-rf").argv()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            ShowAccounts("lab"),
            f"show account withassoc woplimits withcoord format={ShowAccounts._FORMAT}",
        ),
        (ShowDefaults("lab"), "show user where cluster=lab format=user,defaultaccount"),
        (ShowTres("lab"), "show tres format=type,name"),
        (
            ShowQos("lab"),
            "show qos format=name,grpsubmitjobs,maxsubmitjobsperuser,maxsubmitjobsperaccount",
        ),
    ],
)
def test_reads_ask_for_named_columns_with_a_header(command: Command[object], expected: str) -> None:
    """Without `--noheader`: an empty listing and a failed one are never the same."""
    assert [*SACCTMGR, *expected.split()] == command.argv()
    assert not isinstance(command, Write)


BAD_ACCOUNTS = ("", "root", "-x", "a,b", "a[1-3]", "a b", "x=y", "A", "a\n", "a" * 42)
BAD_USERS = ("", "root", "Root", "-x", "a,b", "a b", "x=y", "a\n", "1000")
BAD_VALUES = ("", "a\nb", 'say "x"', "it's", "a,b", "x=y", "a|b", "a\\b", "\x7f")

FOR_ACCOUNT: list[Callable[[str], Change]] = [
    lambda name: changes.AddAccount(name, "p1", "d", "o"),
    lambda name: changes.SetParent(name, "p1"),
    lambda name: changes.SetParent("a1", name),
    lambda name: changes.SetLimits(name, {"cpu": 1}),
    lambda name: changes.SetBlocked(name, CLOSED),
    lambda name: changes.RemoveCoordinators(("alice",), ("a1", name)),
    lambda name: changes.SetQos(name, None),
    lambda name: changes.SetUsersBlocked(("alice",), name, CLOSED),
    lambda name: changes.AddUsers(("alice",), name),
    lambda name: changes.SetDefault(("alice",), name),
    lambda name: changes.RemoveUsers(("alice",), name),
    changes.RemoveAccount,
    changes.CancelJobs,
]
FOR_USER: list[Callable[[str], Change]] = [
    lambda name: changes.AddUsers(("alice", name), "a1"),
    lambda name: changes.SetDefault((name,), "a1"),
    lambda name: changes.SetUsersBlocked((name,), "a1", CLOSED),
    lambda name: changes.RemoveUsers((name,), "a1"),
    lambda name: changes.RemoveCoordinators((name,), ("a1",)),
    lambda name: changes.CancelJobs("a1", (name,)),
]
FOR_UNIX_USER: list[Callable[[str], Command[object]]] = [
    lambda name: commands.ResolveUsers("lab", (name,)),
    lambda name: commands.MakeHome("lab", name, "/sbin/mkhome", "0077"),
]


@pytest.mark.parametrize("make", FOR_ACCOUNT)
@pytest.mark.parametrize("name", BAD_ACCOUNTS)
def test_no_command_is_built_without_a_proper_account(
    make: Callable[[str], Change], name: str
) -> None:
    """An empty name would mean every account, root's would mean all of the tree."""
    with pytest.raises(ValueError, match="must not reach SLURM as an account's name"):
        argvs(make(name))


@pytest.mark.parametrize("name", [name for name in BAD_ACCOUNTS if name != "root"])
def test_no_account_is_created_below_an_improper_one(name: str) -> None:
    """Below root, though, an account may be."""
    with pytest.raises(ValueError, match="must not reach SLURM as an account's name"):
        argvs(changes.AddAccount("a1", name, "d", "o"))


@pytest.mark.parametrize("make", FOR_USER)
@pytest.mark.parametrize("name", BAD_USERS)
def test_no_command_is_built_without_proper_users(make: Callable[[str], Change], name: str) -> None:
    """A list, an option or root in the place of a user is refused."""
    with pytest.raises(ValueError, match="must not reach SLURM as a user's name"):
        argvs(make(name))


@pytest.mark.parametrize("make", FOR_UNIX_USER)
@pytest.mark.parametrize("name", BAD_USERS)
def test_the_head_node_is_not_asked_for_improper_users(
    make: Callable[[str], Command[object]], name: str
) -> None:
    """They are neither looked up nor given a home."""
    with pytest.raises(ValueError, match="must not reach SLURM as a user's name"):
        make(name).argv()


def test_usernames_of_federations_reach_every_command() -> None:
    """A dot, a plus or an @ is not for accounts, and good for users."""
    name = "a.b+c@uni.example"

    for argv in (
        *(argvs(make(name))[0] for make in FOR_USER),
        *(make(name).argv() for make in FOR_UNIX_USER),
    ):
        assert any(word.endswith(name) for word in argv)


@pytest.mark.parametrize(
    "change",
    [
        changes.AddUsers((), "a1"),
        changes.SetDefault((), "a1"),
        changes.SetUsersBlocked((), "a1", CLOSED),
        changes.RemoveUsers((), "a1"),
    ],
)
def test_no_command_is_built_for_no_users(change: Change) -> None:
    """Without a name it would act on all users."""
    with pytest.raises(ValueError, match=r"^a command without users would act on all of them"):
        argvs(change)


@pytest.mark.parametrize("text", BAD_VALUES)
def test_values_that_break_arguments_or_listings_are_refused(text: str) -> None:
    """Control characters, quotes, commas, pipes and equals signs never reach a description."""
    with pytest.raises(ValueError, match="must not reach SLURM as a value"):
        argvs(changes.AddAccount("a1", "p1", text, "o"))


@pytest.mark.parametrize("name", ["", "-x", "a,b", "LAB"])
def test_a_cluster_is_always_named(name: str) -> None:
    """Without it a write would act on all clusters of the slurmdbd."""
    for command in (*for_change(changes.SetLimits("a1", {"cpu": 1}), name), ShowDefaults(name)):
        with pytest.raises(ValueError, match="is not a cluster's name"):
            command.argv()


def test_usage_of_no_account_is_refused() -> None:
    """Without a name it would be everybody's."""
    with pytest.raises(ValueError, match=r"^without an account's name .* that of all"):
        AccountUsage("lab", APRIL, MAY, {}).argv()


names_or_not = st.from_regex(r"[a-z0-9_,=\[\]-]{1,6}") | st.text()


@given(names_or_not, names_or_not, st.text())
def test_whatever_the_names_no_argument_is_dangerous(name: str, user: str, title: str) -> None:
    """What is built at all holds no control character, no list and no foreign option."""
    text = names.describe(names.Kind.PROJECT, "a" * 32, title)
    change = changes.AddAccount(name, "p1", text, "o")
    with contextlib.suppress(ValueError):
        for argv in (*argvs(change), *argvs(changes.RemoveUsers((user,), "a1"))):
            assert not any(not c.isprintable() for word in argv for c in word)
            assert [word for word in argv if word.startswith("-")] == SACCTMGR
            assert not any("," in word for word in argv)


def test_an_account_is_read_with_its_parent_limits_and_users() -> None:
    """The parent stands on the row without a user; the others name users."""
    limits = {"grptresmins": "cpu=60,gres/gpu=5,mem=2G", "description": "genomics"}
    found = accounts(
        line("p1", "root", qos="long,normal", defaultqos="long", coordinators="carol"),
        line("a1", "p1", grpsubmitjobs="0", maxsubmitjobs="7", coordinators="bob,carol", **limits),
        line("a1", user="alice", coordinators="bob,carol"),
        line("a1", user="bob", grptresmins="cpu=5", grpjobsaccrue="1000000050"),
    )

    assert found["a1"] == Account(
        *("a1", "p1", "genomics", {"cpu": 60, "gres/gpu": 5, "mem": 2048}),
        frozenset({"alice", "bob"}),
        Submission(JobLimit(0), JobLimit(7)),
        associations={("bob", ""): UserAssociation(Submission(JobLimit(None, 1000000050)))},
        coordinators=frozenset({"bob", "carol"}),
    )
    assert found["p1"] == Account(
        *("p1", "root", "x"),
        qos=frozenset({"long", "normal"}),
        default_qos="long",
        coordinators=frozenset({"carol"}),
    )


def test_associations_for_one_partition_are_read() -> None:
    """Beside one that is for all of them, or alone."""
    found = accounts(
        line("a1", "root"),
        line("a1", user="alice"),
        line("a1", user="alice", partition="main", grpsubmitjobs="0", qos="long"),
        line("a1", user="bob", partition="main"),
    )["a1"]

    assert found.users == {"alice", "bob"}
    limited = UserAssociation(Submission(JobLimit(0)), frozenset({"long"}))
    assert found.associations_of("alice") == {"": UserAssociation(), "main": limited}
    assert found.associations_of("bob") == {"main": UserAssociation()}


def test_a_limit_on_submission_other_than_zero_is_not_a_block() -> None:
    """An operator's GrpSubmitJobs=100 leaves the account open."""
    assert not accounts(line("a1", "root", grpsubmitjobs="100"))["a1"].blocked


def test_a_limit_on_submission_that_is_no_number_is_an_error() -> None:
    """It is never taken for none."""
    with pytest.raises(ParseError, match="'many' is no limit on jobs"):
        accounts(line("a1", "root", maxsubmitjobs="many"))


def test_accounts_of_other_clusters_are_names_that_are_taken() -> None:
    """They aren't on this one, but keep the description that a new one would get."""
    state = ShowAccounts("lab").parse(
        listing(
            line("a1", "root", cluster="other", description="theirs"),
            line("a2", "root", cluster="other"),
            line("a2", "root"),
        )
    )

    assert state.name == "lab"
    assert "a1" not in state.accounts
    assert state.bare == {"a1": "theirs"}
    assert state.shared == {"a1", "a2"}


def test_accounts_without_any_association_are_names_that_are_taken() -> None:
    """SLURM lists them without a cluster."""
    state = ShowAccounts("lab").parse(listing(line("gone", cluster="", grpsubmitjobs="0")))

    assert state.bare == {"gone": "x"}
    assert state.shared == frozenset()


def test_a_description_on_several_lines_is_joined() -> None:
    """Somebody's line end breaks their row in two; the accounts around it stay whole."""
    broken = line("a1", "root", description="first line")
    found = accounts(broken, "", "| third|x", line("a2", "a1"))

    assert found["a1"].description == "first line  | third|x"
    assert found["a2"].parent == "a1"


def test_only_the_line_end_is_cut_off() -> None:
    """A description may end in a blank or in any letter."""
    for text in ("PROJECT X ", "PROJECT X"):
        assert accounts(line("a1", "root", description=text))["a1"].description == text


def test_a_row_that_is_too_short_is_shown() -> None:
    """As it was printed, with what was expected of it."""
    with pytest.raises(ParseError, match=r"expected 2 columns \(User\|Def Acct\), got 'alice\\n'"):
        ShowDefaults("lab").parse(["User|Def Acct\n", "alice\n"])


def test_a_description_may_hold_pipes() -> None:
    """The description is the last column."""
    assert accounts(line("a1", "root", description="a|b|c"))["a1"].description == "a|b|c"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["sacctmgr: error: something\n"],
        [line("a1", "root")],
        [HEADER.replace("Descr", "Org")],
        [HEADER, "lab|a1|root\n"],
    ],
)
def test_a_listing_without_its_header_is_an_error(lines: list[str]) -> None:
    """Nothing, an error text or other columns are never an empty cluster."""
    with pytest.raises(ParseError):
        ShowAccounts("lab").parse(lines)


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (ShowAccounts("lab"), [HEADER.replace("User", "Users"), line("root")]),
        (ShowDefaults("lab"), ["User|Admin", "alice|None"]),
        (ShowTres("lab"), ["Type|ID", "cpu|1"]),
        (
            AccountUsage("lab", APRIL, MAY, {"a1": "a1"}),
            ["JobIDRaw|Account|User|Start|Elapsed|Suspended|ReqTRES", "1|a1|u|5|5|00:00:00|cpu=1"],
        ),
    ],
)
def test_rows_below_other_columns_are_an_error(command: Command[object], lines: list[str]) -> None:
    """A release that prints other columns is never half understood."""
    with pytest.raises(ParseError, match="expected a listing that starts with"):
        command.parse(lines)


def test_a_listing_without_the_cluster_is_an_error() -> None:
    """A header and nothing of ours: the name is wrong, and the message names the setting."""
    with pytest.raises(ParseError, match="SLURM_CLUSTER_NAME"):
        ShowAccounts("elsewhere").parse(listing())


def test_a_limit_that_is_not_understood_is_that_accounts_own_matter() -> None:
    """It is left out and told; the account's other limits, and other accounts, are read."""
    found = accounts(
        line("a1", "root", grptresmins="cpu=N,mem=1G"), line("a2", "root", grptresmins="cpu=5")
    )

    assert (found["a1"].limits, found["a1"].unread_limits) == ({"mem": 1024}, {"cpu": "cpu=N"})
    assert (found["a2"].limits, found["a2"].unread_limits) == ({"cpu": 5}, {})


def test_users_of_no_account_are_an_error() -> None:
    """An association without its account means that the listing is damaged."""
    with pytest.raises(ParseError, match=r"'a1' has users \(alice, bob\) and is no account"):
        accounts(line("a1", user="bob"), line("a1", user="alice"))


def test_defaults_are_read_by_user() -> None:
    """Users whose default is empty (as 22.05 leaves some) have none."""
    lines = ["User|Def Acct\n", "alice|a1\n", "bob|\n", "root|root\n"]

    assert ShowDefaults("lab").parse(lines) == {"alice": "a1", "root": "root"}


def test_tres_are_read_with_their_names() -> None:
    """A gres is a type and a name."""
    lines = ["Type|Name\n", "cpu|\n", "gres|gpu\n", "gres|gpu:a100\n"]

    assert ShowTres("lab").parse(lines) == {"cpu", "gres/gpu", "gres/gpu:a100"}


def test_qos_are_read_by_their_names() -> None:
    """Each is a row of its own."""
    lines = ["Name|GrpSubmit|MaxSubmitPU|MaxSubmitPA\n", "normal|||\n", "slow|5|0|7\n"]

    assert ShowQos("lab").parse(lines) == {"normal": Qos(), "slow": Qos(5, 0, 7)}
    with pytest.raises(ParseError, match="'Name"):
        ShowQos("lab").parse(["normal|||\n"])


def test_configurations_are_asked_for() -> None:
    """That of slurmdbd of sacctmgr, that of slurmctld of scontrol, which needs no name."""
    asked = [(command.program, command.argv()) for command in (ShowAccounting("lab"), ShowConfig())]

    assert asked == [("sacctmgr", ["show", "configuration"]), ("scontrol", ["show", "config"])]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("NONE", None),
        ("12 months", Purge(12, "months")),
        ("1 month*", Purge(1, "months")),
        ("30 days", Purge(30, "days")),
        ("24 hours*", Purge(24, "hours")),
    ],
)
def test_the_purge_of_job_records_is_read(value: str, expected: Purge | None) -> None:
    """An asterisk means that they are archived before; other records' purges don't matter."""
    lines = ["PurgeEventAfter = 1 day\n", f"PurgeJobAfter          = {value} \n", "X = y\n"]

    assert ShowAccounting("lab").parse(lines).purge == expected


@pytest.mark.parametrize("value", ["", "12", "12 years", "months", "12 months later"])
def test_a_purge_that_is_not_understood_is_an_error(value: str) -> None:
    """It is never taken for none; the message says what was found."""
    with pytest.raises(ParseError, match=f"PurgeJobAfter = '{value}' in slurmdbd's"):
        ShowAccounting("lab").parse([f"PurgeJobAfter = {value}\n"])


def test_a_configuration_without_a_purge_is_an_error() -> None:
    """That of slurmdbd is missing, not empty."""
    with pytest.raises(ParseError, match=r"^`sacctmgr show configuration` names no PurgeJobAfter"):
        ShowAccounting("lab").parse(["ClusterName = lab\n"])


def test_the_clusters_name_is_read_from_its_configuration() -> None:
    """`scontrol show config` prints `ClusterName = lab`, and values with equals signs."""
    found = ShowConfig().parse(
        ["Configuration data as of …\n", "ClusterName   = lab\n", "A = b=c\n"]
    )

    assert found == {"ClusterName": "lab", "A": "b=c"}


def test_a_configuration_without_a_cluster_is_an_error() -> None:
    """The message names the setting that helps."""
    with pytest.raises(ParseError, match=r"^`scontrol show config` .*; set SLURM_CLUSTER_NAME"):
        ShowConfig().parse(["slurm_load_ctl_conf error\n"])


ASSOCIATION = (
    "ClusterName=lab Account={} UserName={} Partition= Priority=0 ID=226"
    " SharesRaw/Norm/Level/Factor=1/0.33/3/0.00 ParentAccount=root(1) DefAssoc=No GrpJobs=N(0)"
    " GrpJobsAccrue=N(0) GrpSubmitJobs={}(0) GrpWall=N(0.00) GrpTRES=cpu=N(0),mem=N(0)"
    " GrpTRESMins={} GrpTRESRunMins=cpu=N(0),mem=N(0) MaxJobs= MaxSubmitJobs=\n"
)
UNLIMITED = "cpu=N(0),mem=N(0),gres/gpu=N(0)"


def test_what_slurmctld_acts_by_is_read() -> None:
    """Users have their Unix number behind them; an account's own row has none."""
    command = ShowAssociations("lab")
    shown = [
        ("root", "", "N", UNLIMITED),
        ("root", "root(0)", "N", UNLIMITED),
        ("bill", "", "0", "cpu=100(7),mem=2621952(0),gres/gpu=0(0)"),
        ("bill", "alice(2001)", "0", "cpu=3(0)"),
        ("bill", "bob(4294967294)", "N", UNLIMITED),
    ]
    titles = ["Current Association Manager state\n", "Association Records\n"]
    found = command.parse([*titles, *(ASSOCIATION.format(*row) for row in shown)])

    assert command.program == "scontrol"
    assert command.argv() == ["--oneliner", "show", "assoc_mgr", "flags=assoc"]
    assert found.associations == {
        Key("root"): Association(),
        Key("root", "root"): Association(),
        Key("bill"): Association({"cpu": 100, "mem": 2621440, "gres/gpu": 0}, blocked=True),
        Key("bill", "alice"): Association(blocked=True),
        Key("bill", "bob"): Association(),
    }
    assert found.without_uid == {Key("bill", "bob")}


def test_associations_for_one_partition_are_told_apart() -> None:
    """As slurmdbd lists them: only one of the user's two is limited."""
    rows = (
        ASSOCIATION.format("root", "", "N", UNLIMITED),
        ASSOCIATION.format("bill", "alice(2001)", "N", UNLIMITED),
        ASSOCIATION.format("bill", "alice(2001)", "0", UNLIMITED).replace(
            "Partition= ", "Partition=main "
        ),
    )

    found = ShowAssociations("lab").parse(rows).associations

    assert found[Key("bill", "alice")] == Association()
    assert found[Key("bill", "alice", "main")] == Association(blocked=True)


def test_a_user_whom_slurmctld_can_not_resolve_is_told() -> None:
    """A real answer of 26.05, of an association that was made before the Unix user."""
    text = (Path(__file__).parents[2] / "inputs" / "scontrol-unresolved-uid.txt").read_text()

    found = ShowAssociations("lab").parse(text.splitlines())

    assert set(found.associations) == {Key("root"), Key("acct1", "user4")}
    assert found.without_uid == {Key("acct1", "user4")}


def test_slurmctld_without_a_root_account_is_an_error() -> None:
    """An answer that holds nothing is not the answer that there is nothing."""
    with pytest.raises(ParseError, match="lists no root account"):
        ShowAssociations("lab").parse([ASSOCIATION.format("bill", "", "N", UNLIMITED)])


READS: list[Command[object]] = [
    ShowAccounts("lab"),
    ShowAssociations("lab"),
    ShowDefaults("lab"),
    ShowTres("lab"),
    ShowQos("lab"),
    ShowConfig(),
    AccountUsage("lab", APRIL, MAY, {"a1": "a1"}),
    RanBy("lab", APRIL, ("1",)),
]
cells = st.sampled_from(
    ["lab", "root", "a1", "", "cpu=4", "0", "5", "٣", "²", "9" * 5000, "mem=1.5G", "01:00:00"]
)
columns = st.sampled_from([1, 2, 3, 4, 7, 14])
rows = columns.flatmap(lambda count: st.lists(cells, min_size=count, max_size=count)).map("|".join)


@given(st.sampled_from(READS), st.booleans(), st.lists(rows | st.text(), max_size=6))
@settings(max_examples=5 * settings().max_examples)
def test_reading_never_fails_otherwise_than_with_a_parse_error(
    command: Command[object], header: bool, lines: list[str]
) -> None:
    """Arbitrary lines, below the right header or not, are read or are a ParseError."""
    first = [str(getattr(command, "_HEADER", ""))] if header else []
    with contextlib.suppress(ParseError):
        command.parse([*first, *lines])


def test_what_a_write_prints_is_read_to_its_end() -> None:
    """Its output is not trusted, but a full pipe would block it."""
    lines = iter(["Adding Account(s)\n", "  a1\n"])

    (command,) = for_change(changes.RemoveAccount("a1"), "lab")
    command.parse(lines)

    assert list(lines) == []
