"""The TRES configuration, and the conversions between TRES-minutes and measured units."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slurm_tasks.errors import ConfigurationError, PermanentError
from slurm_tasks.model import components
from slurm_tasks.model.components import Component
from slurm_tasks.model.messages import MAX_MINUTES

GOOD = """\
cpu:
  limit: 10000
  measured_unit: CPU-hours
  accounting_type: limit
  label: CPU
  unit_factor: 60
mem:
  limit: 40000
  measured_unit: GB-hours
  accounting_type: usage
  label: RAM
  unit_factor: 61440
gres/GPU:
  limit: null
  measured_unit: GPU-hours
  accounting_type: usage
  label: GPU
"""
WHOLE = f"SLURM takes whole ones, at most {MAX_MINUTES}"
REQUIRED = "{limit: 1, measured_unit: h, accounting_type: limit, label: x"


def component(factor: str = "60", **changed: object) -> Component:
    """Make a component that is billed by what was ordered."""
    usual: dict[str, object] = {
        "limit": None,
        "measured_unit": "CPU-hours",
        "accounting_type": "limit",
        "label": "CPU",
        "unit_factor": factor,
    }
    return Component.model_validate(usual | changed)


def problems_of(text: str) -> tuple[str, ...]:
    """Return what is wrong with a configuration."""
    with pytest.raises(ConfigurationError) as caught:
        components.parse(text, "tres.yaml")
    return caught.value.problems


def test_a_good_configuration_is_read() -> None:
    """Every entry becomes a component, its name folded to lower case."""
    found = components.parse(GOOD, "tres.yaml")

    assert list(found) == ["cpu", "mem", "gres/gpu"]
    assert found["cpu"].limit == 10000
    assert found["gres/gpu"].unit_factor == 1


def test_a_fraction_is_taken_as_it_is_written() -> None:
    """0.1 in the file means a tenth, not the float nearest to it."""
    text = "cpu: {limit: 0.1, measured_unit: h, accounting_type: usage, label: x, unit_factor: 600}"

    assert components.parse(text, "tres.yaml")["cpu"].limit == Decimal("0.1")


def test_every_problem_is_named_with_its_line() -> None:
    """All problems of a file come at once, in its order, each with file and line."""
    text = """\
cpu:
  limit: -1
  measured_unit: CPU-hours
  accounting_type: prepaid
  label: CPU
  colour: red
mem:
  limit: 1
  label: RAM
GPUs!:
  limit: 1
  measured_unit: h
  accounting_type: usage
  label: GPU
mem:
  limit: 0.5
  measured_unit: h
  accounting_type: usage
  label: RAM
"""

    problems = problems_of(text)

    places = [problem.split(": ", maxsplit=2)[:2] for problem in problems]
    assert places == [
        ["tres.yaml:2", "cpu.limit"],
        ["tres.yaml:4", "cpu.accounting_type"],
        ["tres.yaml:6", "cpu.colour"],
        ["tres.yaml:10", "'GPUs!' is not a TRES"],
        ["tres.yaml:15", "mem is there twice"],
        ["tres.yaml:15", "mem"],
    ]
    assert (
        problems[-1] == f"tres.yaml:15: mem: limit times unit_factor is 0.5 TRES-minutes; {WHOLE}"
    )


def test_a_missing_setting_is_named_at_its_component() -> None:
    """What isn't there has no line of its own: the component's is given."""
    problems = problems_of("cpu: {limit: 1}\nmem: " + REQUIRED + "}\nnode: {}\n")

    assert problems[:1] == ("tres.yaml:1: cpu.measured_unit: field required",)
    assert problems[-1].startswith("tres.yaml:3: node.")


def test_a_setting_that_is_there_twice_is_named() -> None:
    """YAML would take the last one without a word."""
    (problem,) = problems_of(f"cpu: {REQUIRED},\n  limit: 2}}\n")

    assert problem == "tres.yaml:2: limit is there twice"


@pytest.mark.parametrize("key", ["no", "010", "1", "null", "2026-01-01"])
def test_a_name_that_yaml_takes_for_something_else_is_no_tres(key: str) -> None:
    """Words that YAML reads as truth values, numbers or dates are named as they were written."""
    assert problems_of(f"cpu: {REQUIRED}}}\n{key}: {REQUIRED}}}\n")[0].startswith(
        f"tres.yaml:2: '{key}' is not a TRES"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "tres.yaml: it holds no components"),
        ("- cpu\n- mem\n", "tres.yaml: it holds no components"),
        ("!!set {cpu, mem}\n", "tres.yaml: it holds no components"),
        ("cpu: [\n", "tres.yaml:2: this is not YAML: expected the node content"),
        ("cpu:\n  limit: 1\n\tlabel: x\n", "tres.yaml:3: this is not YAML: found character"),
        ("cpu: 2026-02-30\n", "tres.yaml: this is not YAML: not readable"),
    ],
)
def test_a_file_of_another_shape_is_refused(text: str, place: str) -> None:
    """A file that isn't a mapping or isn't YAML is one readable problem."""
    (problem,) = problems_of(text)

    assert problem.startswith(place)


@given(
    st.text()
    | st.dictionaries(
        st.sampled_from(["cpu", "mem", "no", "1"]), st.text(" :{}[]-&*!|>'\"\n\tax0", max_size=8)
    ).map(lambda data: "\n".join(f"{key}: {value}" for key, value in data.items()))
)
def test_any_file_is_read_or_refused_readably(text: str) -> None:
    """Nothing but a ConfigurationError comes out of a broken file."""
    with contextlib.suppress(ConfigurationError):
        components.parse(text, "tres.yaml")


@pytest.mark.parametrize(
    ("amount", "minutes"), [(100, 6000), (0, 0), ("10.5", 630), (0.1, 6), (Decimal(7), 420)]
)
def test_an_ordered_limit_becomes_whole_minutes(amount: object, minutes: int) -> None:
    """Amounts in measured units are multiplied by the unit's factor, exactly."""
    assert component().minutes("cpu", amount) == minutes


@pytest.mark.parametrize(
    "amount",
    [
        *(-1, "-0.1", None, True, "ten", "", float("nan"), float("inf"), [], {}),
        *(0.01, 10**30, "1e999999", "1e-999999", MAX_MINUTES, MAX_MINUTES + 1),
    ],
)
def test_a_limit_that_slurm_cannot_take_is_refused(amount: object) -> None:
    """Negative, absent, fractional or huge limits are a customer's readable error."""
    with pytest.raises(PermanentError, match="the limit of cpu is ") as caught:
        component().minutes("cpu", amount)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (-1, "-1: it must be a number from 0 on"),
        ("0.01", f"0.01 CPU-hours, which is 0.6 TRES-minutes; {WHOLE}"),
        (10**30, f"{10**30}: that is more than SLURM can count"),
    ],
)
def test_the_refusal_of_a_limit_says_what_is_wrong_with_it(amount: object, reason: str) -> None:
    """In the units of the order and, where that explains it, in the cluster's."""
    with pytest.raises(PermanentError) as caught:
        component().minutes("cpu", amount)

    assert str(caught.value) == f"the limit of cpu is {reason}"


def test_the_greatest_limit_is_one_that_slurm_takes() -> None:
    """To the very minute."""
    assert component(factor="1").minutes("cpu", MAX_MINUTES) == MAX_MINUTES


@given(st.integers(0, 10**12), st.integers(1, 10**6), st.sampled_from([1, 10, 1000]))
def test_a_limit_there_and_back_is_unchanged(amount: int, factor: int, divisor: int) -> None:
    """A whole amount that reaches the cluster comes back from it as the same amount."""
    chosen = component(str(Decimal(factor) / divisor))
    assume((Decimal(amount) * chosen.unit_factor) % 1 == 0)
    assume(amount * chosen.unit_factor <= MAX_MINUTES)

    minutes = chosen.minutes("cpu", amount)

    assert type(minutes) is int
    assert chosen.units(minutes) == amount


@pytest.mark.parametrize(("minutes", "amount"), [(89, 1), (90, 2), (150, 3), (0, 0)])
def test_a_limit_that_an_administrator_set_is_rounded_to_whole_units(
    minutes: int, amount: int
) -> None:
    """Waldur's limits are integers: half an hour more is rounded up."""
    assert component().units(minutes) == amount


@given(st.integers() | st.floats() | st.text(max_size=9) | st.decimals() | st.none())
def test_what_reaches_slurm_is_a_whole_number_or_nothing(amount: object) -> None:
    """Any amount is an integer between 0 and the largest one, or refused."""
    with contextlib.suppress(PermanentError):
        minutes = component().minutes("cpu", amount)
        assert type(minutes) is int
        assert 0 <= minutes <= MAX_MINUTES


@pytest.mark.parametrize(
    ("tres_seconds", "amount"),
    [(0, "0.00"), (3600, "1.00"), (3617, "1.00"), (3618, "1.01"), (17, "0.00"), (18, "0.01")],
)
def test_usage_is_rounded_once_to_two_decimals(tres_seconds: int, amount: str) -> None:
    """Half a hundredth of an hour (18 seconds) is rounded up."""
    assert str(component().amount(tres_seconds)) == amount


def test_limits_come_from_the_order_and_the_configuration() -> None:
    """Limit-based TRES take the order's limit, usage-based ones the file's; none is left out."""
    found = components.parse(GOOD, "tres.yaml")

    limits = components.order_limits(found, {"CPU": 10})

    assert limits == {"cpu": 600, "mem": 40000 * 61440}


def test_a_new_allocation_needs_every_ordered_limit() -> None:
    """Without one it would be unlimited; an Update leaves what it doesn't name."""
    found = {"cpu": component(), "gres/gpu": component()}

    assert components.order_limits(found, {"cpu": 1}) == {"cpu": 60}
    with pytest.raises(PermanentError, match="no limit of gres/gpu"):
        components.order_limits(found, {"cpu": 1}, new=True)


def test_an_order_cannot_set_the_limit_of_a_usage_based_tres() -> None:
    """What the configuration says of it counts, whatever the order names."""
    found = components.parse(GOOD, "tres.yaml")

    assert components.order_limits(found, {"cpu": 10, "mem": 1})["mem"] == 40000 * 61440


def test_an_order_with_several_impossible_limits_names_all_of_them() -> None:
    """One refusal holds every problem, also components that the cluster doesn't have."""
    found = components.parse(GOOD, "tres.yaml")

    with pytest.raises(PermanentError) as caught:
        components.order_limits(found, {"cpu": -1, "storage": 5}, ordered=True)

    assert str(caught.value) == (
        "the limit of cpu is -1: it must be a number from 0 on;"
        " the limit of 'storage' is for a component that this offering doesn't have"
    )


def test_limits_of_others_components_take_no_resource_out() -> None:
    """What a resource has beside the configured components is somebody else's."""
    found = components.parse(GOOD, "tres.yaml")

    assert components.order_limits(found, {"cpu": 10, "storage": 5})["cpu"] == 600


def test_an_ordered_limit_has_a_maximum() -> None:
    """Waldur accepts an order above `limit_amount`; here it is refused, unless not enforced."""
    found = components.parse(GOOD.replace("limit: 10000", "limit: 10", 1), "tres.yaml")

    assert components.order_limits(found, {"cpu": 10}, ordered=True)["cpu"] == 600
    with pytest.raises(PermanentError, match=r"the limit of cpu is 11 .*: at most 10 can be"):
        components.order_limits(found, {"cpu": 11}, ordered=True)
    assert components.order_limits(found, {"cpu": 11})["cpu"] == 660, "what stands stays"


def test_only_limit_based_tres_have_limits_in_waldur() -> None:
    """The cluster's limit of a usage-based TRES is not Waldur's business."""
    found = components.parse(GOOD, "tres.yaml")

    limits = components.resource_limits(found, {"cpu": 600, "mem": 61440, "node": 5})

    assert limits == {"cpu": 10}


@pytest.mark.parametrize("current", [{}, {"cpu": 9}, {"cpu": None}])
def test_waldur_is_told_of_limits_that_it_does_not_have(current: dict[str, object]) -> None:
    """Of limit-based components that the cluster limits, in Waldur's units."""
    found = components.parse(GOOD, "tres.yaml")

    assert components.changed_limits(found, {"cpu": 600, "mem": 61440}, current) == {"cpu": 10}
    assert components.changed_limits(found, {}, current) == {}


@pytest.mark.parametrize("current", [11, "10.5"])
def test_a_limit_that_is_no_whole_unit_is_told_once(current: object) -> None:
    """Ten hours and a half become eleven; what Waldur has, so or so, is no difference."""
    found = components.parse(GOOD, "tres.yaml")

    assert components.changed_limits(found, {"cpu": 630}, {"cpu": 10}) == {"cpu": 11}
    assert components.changed_limits(found, {"cpu": 630}, {"cpu": current}) == {}


def test_a_limit_that_slurm_lists_rounded_is_no_difference() -> None:
    """Waldur keeps the memory that was ordered, and the cluster shows `2.50T` of it."""
    found = {"mem": component(factor="1")}

    assert components.changed_limits(found, {"mem": 2621440}, {"mem": 2621952}) == {}


def test_every_component_has_an_amount() -> None:
    """Usage names all components, for Waldur forgets those that are left out."""
    found = components.parse(GOOD, "tres.yaml")

    used = components.amounts(found, {"cpu": 7200, "node": 99})

    assert used == {"cpu": Decimal("2.00"), "mem": Decimal("0.00"), "gres/gpu": Decimal("0.00")}
