"""Names and markers of accounts."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slurm_tasks.errors import PermanentError
from slurm_tasks.model import names
from slurm_tasks.model.names import FIXED_LEN, Kind, Prefixes
from slurm_tasks.slurm import commands

UUID = "1f2e3d4c5b6a79880123456789abcdef"
uuids = st.uuids().map(lambda value: value.hex)
kinds = st.sampled_from(list(Kind))


@st.composite
def valid_prefixes(draw: st.DrawFn) -> Prefixes:
    """Draw prefixes and a maximum that the settings would accept."""
    prefix = draw(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True))
    longest = draw(st.integers(len(prefix) + FIXED_LEN, names.ACCOUNT_MAX_LEN))
    return Prefixes(prefix, prefix, prefix, longest)


def prefixes(allocation: str = "hpc_", max_len: int = 34) -> Prefixes:
    """Make prefixes of which the allocations' counts."""
    return Prefixes("hpc_", "hpc_", allocation, max_len)


def test_a_name_shows_the_title_between_two_parts_of_the_uuid() -> None:
    """The name holds prefix, 5 digits of the uuid, the title's slug and 7 more digits."""
    named = names.allocation_name(prefixes(), UUID, "Genomics 2026")

    assert named == "hpc_1f2e3_genomics2026-d4c5b6a"


@pytest.mark.parametrize("title", ["", "数学", "---", "\n", "_-_-_"])
def test_a_title_without_usable_characters_leaves_only_the_uuid(title: str) -> None:
    """A slug that is empty or only punctuation adds nothing to the name."""
    assert names.allocation_name(prefixes(), UUID, title) == "hpc_1f2e3_d4c5b6a"


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Climate model 2026 of the North", "climatemodel2026"),
        ("climate models 26-27", "climatemodels26"),
    ],
)
def test_a_title_is_cut_to_what_the_maximum_leaves(title: str, slug: str) -> None:
    """To the very character; what the cut leaves of punctuation at its end goes, too."""
    assert names.allocation_name(prefixes(), UUID, title) == f"hpc_1f2e3_{slug}-d4c5b6a"


def test_the_smallest_maximum_still_names_by_uuid() -> None:
    """With no room for a slug the name is prefix and uuid parts alone."""
    smallest = prefixes(max_len=len("hpc_") + FIXED_LEN)

    assert names.allocation_name(smallest, UUID, "Genomics") == "hpc_1f2e3_d4c5b6a"


@given(valid_prefixes(), uuids, st.text())
def test_any_title_gives_an_account_name_within_the_maximum(
    chosen: Prefixes, uuid: str, title: str
) -> None:
    """Whatever the title and the maximum, the name is one that SLURM takes as it is."""
    named = names.allocation_name(chosen, uuid, title)

    assert chosen.problems() == []
    assert names.is_account(named)
    assert len(named) <= chosen.max_len
    assert named.startswith(chosen.allocation)


@given(valid_prefixes(), uuids, uuids, st.text(), st.text())
def test_allocations_never_share_a_name(
    chosen: Prefixes, one: str, other: str, title: str, other_title: str
) -> None:
    """Two uuids that differ in their first 12 digits give two names, whatever the titles."""
    assume(one[:12] != other[:12])

    first = names.allocation_name(chosen, one, title)
    second = names.allocation_name(chosen, other, other_title)

    assert first != second


@given(valid_prefixes(), kinds, uuids)
def test_owners_names_hold_the_whole_uuid(chosen: Prefixes, kind: Kind, uuid: str) -> None:
    """A customer's or project's name is valid with every accepted prefix, and ends in its uuid."""
    named = names.owner_name(chosen, kind, uuid)

    assert names.is_account(named)
    assert named.endswith(uuid)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Überblick", "uberblick"),
        ("Straße 9", "strasse9"),
        ("\N{LATIN SMALL LIGATURE FI}t", "fit"),
        ("a,b=c|d'e", "abcde"),
        ("x_y-z", "x_y-z"),
        ("数学", ""),
    ],
)
def test_slugs_keep_plain_letters(title: str, expected: str) -> None:
    """Titles are decomposed and casefolded, and everything but [a-z0-9_-] is deleted."""
    assert names.slug(title) == expected


@pytest.mark.parametrize("prefix", ["", "Hpc_", "hpc.", "_hpc", "-x", "h p", "é"])
def test_a_prefix_with_other_characters_is_a_problem(prefix: str) -> None:
    """A prefix that SLURM would fold, split or take for an option is named."""
    (problem,) = prefixes(allocation=prefix, max_len=41).problems()

    assert problem == (
        f"SLURM_ALLOCATION_PREFIX is {prefix!r}: use one or more of a-z, 0-9, _ and -,"
        " and start with a letter or a digit"
    )


@pytest.mark.parametrize("max_len", [16, 42, 0, -1])
def test_a_maximum_that_cannot_work_is_a_problem(max_len: int) -> None:
    """Too small for prefix and uuid, or longer than SLURM's index: both are named."""
    (problem,) = prefixes(max_len=max_len).problems()

    assert problem.startswith(f"SLURM_ALLOCATION_NAME_MAX_LEN is {max_len}: ")
    assert "at least 17" in problem


def test_a_prefix_that_leaves_no_room_for_the_uuid_is_a_problem() -> None:
    """With 32 digits of a uuid only 9 characters are left for customers and projects."""
    problems = Prefixes("customers_", "projects1", "hpc_", 34).problems()

    assert len(problems) == 1
    assert "SLURM_CUSTOMER_PREFIX is 10 characters long" in problems[0]


@pytest.mark.parametrize("name", ["a", "0", "hpc_1-2", "a" * 41])
def test_account_names_that_slurm_keeps_are_accepted(name: str) -> None:
    """Lower-case letters, digits, _ and -, up to 41 characters."""
    assert names.is_account(name)


@pytest.mark.parametrize(
    "name",
    ["", "A", "-x", "_x", "a b", "a,b", "a[1-3]", "a=b", "a|b", "a/b", "a*", "ä", "a\n", "a" * 42],
)
def test_account_names_that_slurm_changes_are_not_accepted(name: str) -> None:
    """Capitals, lists, options, separators, other alphabets and overlong names are refused."""
    assert not names.is_account(name)


@pytest.mark.parametrize(
    "name", ["alice", "Alice", "_svc", "a.b", "alice@uni.example", "2fast", "a+b-c"]
)
def test_usernames_of_directories_are_accepted(name: str) -> None:
    """Names as LDAP and federations make them may reach SLURM."""
    assert names.is_username(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "root",
        "Root",
        "1000",
        "Bob Böhm!",
        "\u212aarl",
        "-x",
        "a,b",
        "a=b",
        "a b",
        "a\n",
        "a" * 65,
    ],
)
def test_usernames_that_could_mean_something_else_are_not_accepted(name: str) -> None:
    """No list, no option, no number, no letter that only looks like one of ASCII, never root."""
    assert not names.is_username(name)


def test_usernames_are_compared_folded() -> None:
    """Two spellings are one user; what is returned is spelled as it was given."""
    assert names.fold_username(" Alice@Uni.example\n") == "alice@uni.example"
    assert names.fold_usernames(["bob", "Alice", "alice"]) == {"alice": "Alice", "bob": "bob"}
    assert names.other_usernames(["Alice", "Bob"], ["ALICE", "carol"]) == {"Bob"}


def test_uuids_are_folded_to_waldurs_form() -> None:
    """Dashes, capitals and blanks around a uuid don't matter."""
    assert names.fold_uuid(" 1F2E3D4C-5b6a-7988-0123-456789abcdef\n") == UUID


@pytest.mark.parametrize("text", ["", "1f2e", UUID + "0", "g" * 32, "é" * 32])
def test_what_is_not_a_uuid_is_refused(text: str) -> None:
    """Folding anything else raises, with the text in the message."""
    with pytest.raises(ValueError, match="is not a uuid"):
        names.fold_uuid(text)


def test_backend_ids_are_folded_as_slurm_does() -> None:
    """A backend id with capitals names the account that SLURM stored in lower case."""
    assert names.fold_backend_id(" Old_Alloc ") == "old_alloc"


@pytest.mark.parametrize("backend_id", ["root", "ROOT", "-x", "a b", "a" * 42, "a,b"])
def test_backend_ids_that_cannot_be_accounts_are_refused(backend_id: str) -> None:
    """The message names the backend id and says where to correct it."""
    with pytest.raises(PermanentError, match="correct it in Waldur"):
        names.fold_backend_id(backend_id)


@given(kinds, uuids, st.text())
def test_a_description_gives_its_marker_back(kind: Kind, uuid: str, title: str) -> None:
    """Kind and uuid survive any title, and SLURM's lower-casing."""
    assert names.marker(names.describe(kind, uuid, title).lower()) == (kind, uuid)


def test_a_description_holds_what_is_plain_of_the_title() -> None:
    """Accents are dropped, all else that SLURM might change is a blank."""
    text = names.describe(Kind.PROJECT, UUID, " Müller's  “Lab”, 2|3 (a+b)\n")

    assert text == f"waldur:project:{UUID} Muller s Lab 2 3 (a+b)"


@given(kinds, uuids, st.text())
def test_a_description_is_always_one_that_slurm_takes(kind: Kind, uuid: str, title: str) -> None:
    """It builds a command, fits the column, and is not changed by folding blanks or quotes."""
    text = names.describe(kind, uuid, title)

    assert commands.base.plain(text) == text
    assert len(text) <= 120
    assert " ".join(text.split()) == text
    assert text.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "genomics",
        f" waldur:project:{UUID}",
        f"x waldur:project:{UUID}",
        f"waldur:team:{UUID}",
        f"waldur:project:{UUID[:-1]}",
        f"waldur:project:{UUID}0",
    ],
)
def test_a_text_that_is_not_exactly_a_marker_is_none(text: str) -> None:
    """Markers stand at the start, with a known kind and a whole uuid."""
    assert names.marker(text) is None
