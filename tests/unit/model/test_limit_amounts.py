"""What Waldur takes of a report under its components' limit_amount."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from slurm_tasks.model.limit_amounts import Cap, reports

HUNDRED = Decimal(100)


def D(**amounts: float) -> dict[str, Decimal]:  # noqa: N802 - amounts, at a glance
    """Write amounts."""
    return {name: Decimal(str(value)) for name, value in amounts.items()}


def test_without_limits_everything_is_posted_once() -> None:
    """Most components have none."""
    found = reports(D(cpu=1), D(cpu=2, mem=3), {})
    assert (found.first, found.amounts, found.over) == ({}, D(cpu=2, mem=3), {})


def test_a_server_that_replaces() -> None:
    """Up to the limit it is posted; above it Waldur keeps what it has."""
    cap = {"mem": Cap(HUNDRED)}
    assert reports(D(mem=60), D(mem=100), cap).amounts == D(mem=100)
    over = reports(D(mem=60), D(cpu=1, mem=101), cap)
    assert (over.first, over.amounts, over.over) == ({}, D(cpu=1, mem=60), D(mem=101))


def test_a_server_that_counts_what_it_replaces() -> None:
    """60 becomes 80 of 100 by way of 20, as was measured; the same amount counts twice, too."""
    cap = {"mem": Cap(HUNDRED, counts_replaced=True)}
    found = reports(D(mem=60), D(cpu=1, mem=80), cap)
    assert (found.first, found.amounts) == (D(cpu=1, mem=20), D(cpu=1, mem=80))
    assert found.restored == D(cpu=1, mem=60)
    again = reports(D(mem=80), D(cpu=2, mem=80), cap)
    assert (again.first, again.amounts) == (D(cpu=2, mem=20), D(cpu=2, mem=80))
    assert reports(D(mem=10), D(mem=50), cap).first == {}


def test_what_was_used_in_other_months_counts() -> None:
    """The limit of a year or of all time leaves less room."""
    cap = {"mem": Cap(HUNDRED, elsewhere=Decimal(70), counts_replaced=True)}
    assert reports(D(mem=20), D(mem=30), cap).first == D(mem=0)
    assert reports(D(mem=20), D(mem=31), cap).over == D(mem=101)


def test_over_the_limit_and_counted_twice() -> None:
    """What Waldur has can't be posted once more: it is left out."""
    cap = {"mem": Cap(HUNDRED, counts_replaced=True)}
    found = reports(D(mem=80), D(cpu=1, mem=120), cap)
    assert (found.first, found.amounts, found.over) == ({}, D(cpu=1), D(mem=120))


amounts = st.integers(0, 300).map(lambda cents: Decimal(cents).scaleb(-1))


@given(
    old=st.dictionaries(st.sampled_from("abc"), amounts),
    new=st.dictionaries(st.sampled_from("abc"), amounts, min_size=1),
    limits=st.dictionaries(
        st.sampled_from("abc"), st.tuples(amounts, amounts, st.booleans()), min_size=1
    ),
)
def test_a_server_takes_what_is_posted(
    old: dict[str, Decimal],
    new: dict[str, Decimal],
    limits: dict[str, tuple[Decimal, Decimal, bool]],
) -> None:
    """Played on a server that counts like Waldur, no report is refused, and all fits that can."""
    caps = {name: Cap(limit, other, counts) for name, (limit, other, counts) in limits.items()}
    found = reports(old, new, caps)
    stored = dict(old)
    for posted in filter(None, (found.first, found.amounts)):
        for name, amount in posted.items():
            assert amount >= 0
            if cap := caps.get(name):
                had = stored.get(name, Decimal(0)) if cap.counts_replaced else Decimal(0)
                assert had + amount <= cap.room
        stored |= posted
    for name, amount in new.items():
        if name not in found.over:
            assert stored[name] == amount
        else:
            assert stored.get(name) == old.get(name)
