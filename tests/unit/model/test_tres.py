"""Reading and writing TRES strings."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_tasks.errors import ParseError
from slurm_tasks.model import tres

names = st.sampled_from(["cpu", "mem", "node", "billing", "gres/gpu", "gres/gpu:a100", "fs/disk"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("cpu=100,gres/gpu=5,mem=2048", {"cpu": 100, "gres/gpu": 5, "mem": 2048}),
        ("billing=13,cpu=4,mem=4096M,node=1", {"billing": 13, "cpu": 4, "mem": 4096, "node": 1}),
        ("mem=4G", {"mem": 4096}),
        ("mem=1.5G", {"mem": 1536}),
        ("mem=1P", {"mem": 1024**3}),
        ("cpu=1.50K", {"cpu": 1536}),
        ("gres/gpu:a100=2", {"gres/gpu:a100": 2}),
        ("CPU=1", {"cpu": 1}),
        ("cpu=1,license/matlab@flex=1", {"cpu": 1, "license/matlab@flex": 1}),
        ("gres/gpu:1g.5gb+me=2,license/Q:R=3", {"gres/gpu:1g.5gb+me": 2, "license/q:r": 3}),
        ("license/e=f=1,license/par(en)=2", {"license/e=f": 1, "license/par(en)": 2}),
        (
            "license/a/b=1,license/p|q=2,license/é=3",
            {"license/a/b": 1, "license/p|q": 2} | {"license/é": 3},
        ),
        ("bb/scratch=4G", {"bb/scratch": 4096}),
        ("fs/lustre=1048576", {"fs/lustre": 1048576}),
        ("cpu=1,", {"cpu": 1}),
    ],
)
def test_what_slurm_prints_is_read(text: str, expected: dict[str, int]) -> None:
    """Counts come out as integers, memory in MB, suffixes as powers of 1024."""
    assert tres.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["cpu", "cpu=", "cpu=abc", "=5", "cpu=-1", "cpu=1:00:00", "1-00:00:00", "cpu=1T5", "c pu=1"],
)
def test_what_is_not_understood_is_an_error_and_never_zero(text: str) -> None:
    """The message holds the text that was not understood."""
    with pytest.raises(ParseError) as caught:
        tres.parse(text)

    assert text in str(caught.value)


def test_a_part_that_is_not_understood_leaves_the_others_alone() -> None:
    """It is told by its TRES, and as it stands where it names none."""
    counts, unread = tres.parse_parts("cpu=4,license/x=many,mem=1G,nonsense,=7")

    assert counts == {"cpu": 4, "mem": 1024}
    assert unread == {"license/x": "license/x=many", "nonsense": "nonsense", "=7": "=7"}


@given(st.dictionaries(names, st.integers(0, 2**53 - 1)))
def test_limits_survive_writing_and_reading(limits: dict[str, int]) -> None:
    """What is rendered for SLURM parses to the same limits."""
    assert tres.parse(tres.render(limits)) == limits


@given(st.text() | st.lists(st.tuples(names, st.text()), max_size=3).map(str))
def test_reading_never_fails_otherwise_than_with_a_parse_error(text: str) -> None:
    """Arbitrary text is either read or a ParseError."""
    with contextlib.suppress(ParseError):
        tres.parse(text)


@given(names, st.text(alphabet="0123456789.KMGTPE٣²-: ", max_size=12))
def test_odd_numbers_are_read_or_refused(name: str, value: str) -> None:
    """A value that looks nearly like a number is a count or a ParseError."""
    with contextlib.suppress(ParseError):
        assert all(count >= 0 for count in tres.parse(f"{name}={value}").values())


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2621952, 2621440), (2621440, 2621440), (1025, 1025), (1536, 1536), (512, 512), (0, 0)],
)
def test_memory_limits_are_listed_rounded(value: int, shown: int) -> None:
    """As `2.50T`, where the MB and the GB are multiples of 512; all others to the megabyte."""
    assert tres.listed("mem", value) == shown
    assert tres.listed("bb/scratch", value) == shown


@pytest.mark.parametrize(("name", "value"), [("cpu", 2621952), ("mem", tres.UNLIMITED)])
def test_other_limits_are_listed_as_they_were_set(name: str, value: int) -> None:
    """Only memory has a unit; -1 is no amount of it."""
    assert tres.listed(name, value) == value


def test_limits_are_written_sorted_and_unlimited_as_minus_one() -> None:
    """The same limits always give the same argument; -1 takes one away."""
    assert tres.render({"mem": 5, "cpu": tres.UNLIMITED}) == "cpu=-1,mem=5"


@pytest.mark.parametrize(
    "name",
    [
        *("cpu", "gres/gpu", "gres/gpu:a100", "gres/gpu:1g.5gb+me", "fs/disk", "bb/scratch"),
        *("license/matlab", "license/matlab@flex", "license/par(en)", "license/a/b", "ic/ofed"),
    ],
)
def test_types_and_their_names_are_tres(name: str) -> None:
    """A type, and after a slash the name of a gres, with its model."""
    assert tres.is_tres(name)


@pytest.mark.parametrize(
    "name",
    ["", "CPU", "gres/", "cpu=1", "cpu,mem", "cpu ", "1cpu", "gpu/a:", "license/A", "license/a=b"],
)
def test_other_words_are_no_tres(name: str) -> None:
    """Nothing that could add a second limit or an option passes."""
    assert not tres.is_tres(name)
