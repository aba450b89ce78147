"""Posted bodies: which fields an endpoint reads, and how Waldur refuses what it cannot read.

The sentences are those of Django REST framework, as recorded.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from slurm_tasks.demo.waldur.refusals import RefusedError
from slurm_tasks.demo.waldur.values import Json

_REQUIRED = "This field is required."
_NULL = "This field may not be null."
_BLANK = "This field may not be blank."
_UNKNOWN = "This simulator knows no such field: neither the recordings nor the schema have it."

Read = Callable[[object], object]


class ProblemError(Exception):
    """A value that cannot be read, with what Waldur says of it under the field's name."""

    def __init__(self, said: object) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True)
class Field:
    """A field of a body: how its value is read, and whether it may be left out or be null."""

    read: "Read | Rows"
    required: bool = True
    null: bool = False


Shape = Mapping[str, Field]


def read(body: object, shape: Shape, *, strict: bool) -> Json:
    """Return the fields that a body has, as they were read.

    Args:
        body: what was posted.
        shape: the fields that the endpoint reads.
        strict: refuse fields that it does not read. Waldur ignores them in silence.

    Raises:
        RefusedError: 400 that names each field with what is wrong with it.
    """
    try:
        return _read_object(body, shape, strict=strict)
    except ProblemError as problem:
        raise RefusedError(400, problem.said) from None


def _read_object(body: object, shape: Shape, *, strict: bool) -> Json:
    if not isinstance(body, dict):
        message = f"Invalid data. Expected a dictionary, but got {type(body).__name__}."
        raise ProblemError({"non_field_errors": [message]})
    known: Json = {}
    said: Json = {}
    for name, field_ in shape.items():
        if name not in body:
            said |= {name: [_REQUIRED]} if field_.required else {}
            continue
        try:
            known[name] = _value(field_, body[name], strict=strict)
        except ProblemError as problem:
            said[name] = problem.said
    if strict:
        said |= {name: [_UNKNOWN] for name in body if name not in shape}
    if said:
        raise ProblemError(said)
    return known


def _value(field_: Field, value: object, *, strict: bool) -> object:
    if value is None:
        if field_.null:
            return None
        raise ProblemError([_NULL])
    if isinstance(field_.read, Rows):
        return field_.read.rows(value, strict=strict)
    return field_.read(value)


@dataclass(frozen=True)
class Text:
    """Reads a text; numbers count as texts."""

    longest: int | None = None
    blank: bool = False
    choices: Iterable[str] | None = None
    pattern: re.Pattern[str] | None = None
    mismatch: str = "Enter a valid value."

    def __call__(self, value: object) -> str:
        """Return the text.

        Raises:
            ProblemError: it is none, or none of those that are allowed.
        """
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ProblemError(["Not a valid string."])
        text = str(value).strip()
        if not text:
            if self.blank:
                return text
            raise ProblemError([_BLANK])
        if self.choices is not None and text not in self.choices:
            raise ProblemError([f'"{text}" is not a valid choice.'])
        if self.longest is not None and len(text) > self.longest:
            message = f"Ensure this field has no more than {self.longest} characters."
            raise ProblemError([message])
        if self.pattern is not None and not self.pattern.fullmatch(text):
            raise ProblemError([self.mismatch])
        return text


@dataclass(frozen=True)
class Whole:
    """Reads a whole number."""

    least: int = -(2**31)
    most: int = 2**31 - 1

    def __call__(self, value: object) -> int:
        """Return the number.

        Raises:
            ProblemError: it is none, or out of range.
        """
        text = "" if isinstance(value, bool) else re.sub(r"\.0*$", "", str(value).strip())
        try:
            number = int(text)
        except ValueError:
            raise ProblemError(["A valid integer is required."]) from None
        if number < self.least:
            raise ProblemError([f"Ensure this value is greater than or equal to {self.least}."])
        if number > self.most:
            raise ProblemError([f"Ensure this value is less than or equal to {self.most}."])
        return number


@dataclass(frozen=True)
class Amount:
    """Reads a decimal number."""

    digits: int = 20
    places: int = 2

    def __call__(self, value: object) -> Decimal:
        """Return the number, with all its places.

        Raises:
            ProblemError: it is none, too long or too fine.
        """
        try:
            amount = Decimal(str(value).strip())
        except InvalidOperation:
            raise ProblemError(["A valid number is required."]) from None
        exponent = amount.as_tuple().exponent
        if not isinstance(exponent, int):
            raise ProblemError(["A valid number is required."])
        places = max(0, -exponent)
        digits = max(len(amount.as_tuple().digits) + max(0, exponent), places)
        whole = self.digits - self.places
        if digits > self.digits:
            raise ProblemError(
                [f"Ensure that there are no more than {self.digits} digits in total."]
            )
        if places > self.places:
            raise ProblemError(
                [f"Ensure that there are no more than {self.places} decimal places."]
            )
        if digits - places > whole:
            message = f"Ensure that there are no more than {whole} digits before the decimal point."
            raise ProblemError([message])
        return amount.quantize(Decimal(1).scaleb(-self.places))


def flag(value: object) -> bool:
    """Read true or false, in any of the ways in which they are written."""
    flags = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}
    found = flags.get(str(value).casefold())
    if found is None:
        raise ProblemError(["Must be a valid boolean."])
    return found


def anything(value: object) -> object:
    """Take a value as it is."""
    return value


def mapping(value: object) -> Json:
    """Read an object of any keys."""
    if not isinstance(value, dict):
        message = f'Expected a dictionary of items but got type "{type(value).__name__}".'
        raise ProblemError([message])
    return value


@dataclass(frozen=True)
class Values:
    """Reads an object of any keys, whose values are read alike."""

    read: Read

    def __call__(self, value: object) -> Json:
        """Return the object.

        Raises:
            ProblemError: it is none, or a value cannot be read.
        """
        known: Json = {}
        said: Json = {}
        for key, item in mapping(value).items():
            try:
                known[key] = self.read(item)
            except ProblemError as problem:
                said[key] = problem.said
        if said:
            raise ProblemError(said)
        return known


@dataclass(frozen=True)
class Rows:
    """Reads a list of objects."""

    shape: Shape
    too_few: str = ""
    """What is said of an empty list, if that is refused."""

    def rows(self, value: object, *, strict: bool) -> list[Json]:
        """Return the objects.

        Raises:
            ProblemError: it is no list, too short, or a row cannot be read.
        """
        if not isinstance(value, list):
            message = f'Expected a list of items but got type "{type(value).__name__}".'
            raise ProblemError({"non_field_errors": [message]})
        rows: list[Json] = []
        said: list[object] = []
        for row in value:
            try:
                rows.append(_read_object(row, self.shape, strict=strict))
                said.append({})
            except ProblemError as problem:
                said.append(problem.said)
        if any(said):
            raise ProblemError(said)
        if not rows and self.too_few:
            raise ProblemError([self.too_few])
        return rows
