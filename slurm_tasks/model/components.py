"""The TRES configuration: which TRES are billed, in which unit, and how units are converted.

The control side knows components and measured units (CPU-hours, GB-hours); the head node knows
TRES-minutes. The conversions between the two are here, and nowhere else.
"""

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from slurm_tasks.errors import ConfigurationError, PermanentError
from slurm_tasks.model import tres
from slurm_tasks.model.messages import MAX_MINUTES

CENT = Decimal("0.01")
"""Waldur keeps two decimals of an amount."""
SECONDS = 60
_DIGITS = 40
"""Amounts with more digits, before or after the point, are nobody's; Decimal would overflow."""


class Component(BaseModel):
    """A TRES that is billed.

    Attributes:
        limit: in measured units; the limit of a usage-based component, and what Waldur accepts
            at most (`limit_amount`). None: no limit. Left out: Waldur keeps its `limit_amount`.
        measured_unit: as invoices name it.
        accounting_type: `usage`: billed by what was used; `limit`: by what was ordered.
        label: the component's name for people.
        unit_factor: TRES-minutes (MB-minutes for `mem`) in one measured unit.
        limit_period: over what Waldur counts a limit. Left out: Waldur keeps its own.
        enforce_limit: whether Waldur gets `limit` as `limit_amount`; False clears it there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[Decimal, Field(ge=0)] | None = None
    measured_unit: str = Field(min_length=1, max_length=30)
    accounting_type: Literal["usage", "limit"]
    label: str = Field(min_length=1, max_length=150)
    unit_factor: Decimal = Field(gt=0, default=Decimal(1))
    limit_period: Literal["month", "quarterly", "annual", "total"] | None = None
    enforce_limit: bool = True

    @model_validator(mode="after")
    def _limit_in_minutes(self) -> "Component":
        if self.limit is not None and not _whole(self.limit * self.unit_factor):
            raise ValueError(
                f"limit times unit_factor is {self.limit * self.unit_factor} TRES-minutes; SLURM"
                f" takes whole ones, at most {MAX_MINUTES}"
            )
        return self

    @property
    def limit_amount(self) -> int | None:
        """What Waldur accepts at most, in whole measured units; None: anything.

        A fraction is rounded up, so that nothing within `limit` is refused.
        """
        if self.limit is None or not self.enforce_limit:
            return None
        return int(self.limit.to_integral_value(ROUND_CEILING))

    def minutes(self, name: str, amount: object) -> int:
        """Convert an ordered limit to TRES-minutes.

        Args:
            name: the component's type, for messages.
            amount: in measured units, as Waldur has it.

        Raises:
            PermanentError: it isn't a number that SLURM can take.
        """
        value = _decimal(amount)
        if value is None or value < 0:
            raise PermanentError(
                f"the limit of {name} is {amount!r}: it must be a number from 0 on"
            )
        converted = value * self.unit_factor
        if not _whole(converted):
            raise PermanentError(
                f"the limit of {name} is {amount} {self.measured_unit}, which is"
                f" {converted.normalize():f} TRES-minutes; SLURM takes whole ones, at most"
                f" {MAX_MINUTES}"
                if converted.adjusted() < 20  # noqa: PLR2004 - more digits help nobody
                else f"the limit of {name} is {str(amount)[:40]}: that is more than SLURM can count"
            )
        return int(converted)

    def units(self, minutes: int) -> int:
        """Convert a limit of the cluster to Waldur's whole measured units."""
        return int((Decimal(minutes) / self.unit_factor).to_integral_value(ROUND_HALF_UP))

    def amount(self, tres_seconds: int) -> Decimal:
        """Convert usage to measured units, rounded once, to two decimals."""
        minutes = Decimal(tres_seconds) / SECONDS
        return (minutes / self.unit_factor).quantize(CENT, ROUND_HALF_UP)


def _decimal(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value))  # nothing in JSON but numbers and texts of them reads as one
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _DIGITS else None


def _whole(minutes: Decimal) -> bool:
    return minutes <= MAX_MINUTES and minutes == minutes.to_integral_value()


Components = Mapping[str, Component]
_ADAPTER = TypeAdapter(dict[str, Component])
_STRING = "tag:yaml.org,2002:str"


def parse(text: str, source: str) -> dict[str, Component]:
    """Read a TRES configuration.

    Args:
        text: YAML.
        source: its path, for messages.

    Raises:
        ConfigurationError: every problem, with its line.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the 30th of February
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or "not readable"
        raise ConfigurationError(f"{where}: this is not YAML: {problem}") from error
    if not isinstance(data, dict) or not isinstance(root, yaml.MappingNode):
        raise ConfigurationError(
            f"{source}: it holds no components; `slurm-tasks components example` prints some"
        )
    lines = dict(_lines(root, ()))
    problems = [*_duplicates(root), *_names(root)]
    try:
        components = _ADAPTER.validate_python({str(key): value for key, value in data.items()})
    except ValidationError as error:
        problems += (_problem(item["loc"], item["msg"], lines) for item in error.errors())
    if problems:
        problems.sort(key=lambda problem: problem[0])
        raise ConfigurationError([f"{source}:{line}: {text}" for line, text in problems])
    return {name.lower(): component for name, component in components.items()}


def _lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from ((p, n) for p, n in _lines(value, inner) if p != inner)


def _duplicates(node: yaml.Node) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, f"{key.value} is there twice"
            seen.add(key.value)
            yield from _duplicates(value)


def _names(root: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    # as they are written: YAML takes `no` for False and 010 for 8
    for key, _ in root.value:
        if key.tag != _STRING or not tres.is_tres(key.value.lower()):
            text = (
                f"{key.value!r} is not a TRES: write its type, and after a slash its name if it"
                " has one (cpu, mem, gres/gpu, gres/gpu:a100, …)"
            )
            yield key.start_mark.line + 1, text


def _problem(
    loc: tuple[int | str, ...], message: str, lines: dict[tuple[str, ...], int]
) -> tuple[int, str]:
    path = tuple(map(str, loc))
    known = path
    while known not in lines:
        known = known[:-1]
    text = message.removeprefix("Value error, ")
    return lines[known], f"{'.'.join(path)}: {text[:1].lower()}{text[1:]}"


def order_limits(
    components: Components,
    limits: Mapping[str, object],
    *,
    new: bool = False,
    ordered: bool = False,
) -> dict[str, int]:
    """Work out the limits of an allocation: Waldur's, and the configuration's for the rest.

    Args:
        components: the TRES configuration.
        limits: the order's or the resource's, by component, in measured units.
        new: whether its account is to be made: what has no limit then would be unlimited.
        ordered: whether they are an order's, which is refused for a limit that can't be had. In
            others, limits of components that aren't configured are somebody else's.

    Returns:
        TRES-minutes (MB-minutes for `mem`) by TRES; what has no limit is left out.

    Raises:
        PermanentError: naming every limit that can't be.
    """
    problems: list[str] = []
    minutes: dict[str, int] = {}
    known = {name.lower(): value for name, value in limits.items()}
    for name, component in components.items():
        try:
            if component.accounting_type == "limit" and name in known:
                minutes[name] = component.minutes(name, known[name])
                if ordered:
                    problems += _above_maximum(name, component, minutes[name])
            elif component.accounting_type == "usage" and component.limit is not None:
                minutes[name] = component.minutes(name, component.limit)
            elif component.accounting_type == "limit" and new:
                problems.append(f"the order has no limit of {name}: it would be unlimited")
        except PermanentError as error:
            problems.append(str(error))
    if ordered:
        problems += (
            f"the limit of {name[:60]!r} is for a component that this offering doesn't have"
            for name in sorted(set(known) - set(components))
        )
    if problems:
        raise PermanentError("; ".join(problems))
    return minutes


def _above_maximum(name: str, component: Component, minutes: int) -> Iterator[str]:
    """Refuse more than the configuration allows; Waldur accepts such an order."""
    most = component.limit_amount
    if most is not None and minutes > most * component.unit_factor:
        yield (
            f"the limit of {name} is {Decimal(minutes) / component.unit_factor:f}"
            f" {component.measured_unit}: at most {most} can be ordered"
        )


def resource_limits(components: Components, minutes: Mapping[str, int]) -> dict[str, int]:
    """Convert the cluster's limits (TRES-minutes) to Waldur's: limit-based components only."""
    return {
        name: component.units(minutes[name])
        for name, component in components.items()
        if component.accounting_type == "limit" and name in minutes
    }


def changed_limits(
    components: Components, minutes: Mapping[str, int], current: Mapping[str, object]
) -> dict[str, int]:
    """Return the limits that Waldur has to be told, in its units.

    Args:
        components: the TRES configuration.
        minutes: the cluster's limits as listed, TRES-minutes.
        current: Waldur's limits. One that the cluster would list just so is no difference, even
            if converting back and rounding gave another number; nor is one of the cluster's that
            is no whole unit and was told once, rounded.
    """
    return {
        name: value
        for name, value in resource_limits(components, minutes).items()
        if current.get(name) != value
        and not _listed_as(name, components[name], current.get(name), minutes[name])
    }


def _listed_as(name: str, component: Component, limit: object, minutes: int) -> bool:
    try:
        return tres.listed(name, component.minutes(name, limit)) == minutes
    except PermanentError:
        return False


def amounts(components: Components, tres_seconds: Mapping[str, int]) -> dict[str, Decimal]:
    """Convert usage to every component's measured unit; what wasn't used is 0.00.

    Args:
        components: the TRES configuration.
        tres_seconds: TRES-seconds (MB-seconds for `mem`) by TRES.
    """
    return {
        name: component.amount(tres_seconds.get(name, 0)) for name, component in components.items()
    }
