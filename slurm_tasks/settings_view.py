"""Settings as a person may see them: where each comes from, what it means, and no secret."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import SecretStr

from slurm_tasks.errors import ConfigurationError
from slurm_tasks.settings import GROUPS, load

MASK = "********"


@dataclass(frozen=True)
class Setting:
    """One setting as `slurm-tasks settings` shows it.

    Attributes:
        group: which processes read it.
        variable: its environment variable.
        value: as a person may see it: secrets are masked.
        source: `environment`, `default` or `missing`.
        meaning: what it is for.
        problem: what is wrong with it, if anything.
    """

    group: str
    variable: str
    value: str
    source: str
    meaning: str
    problem: str = ""


def describe(environ: Mapping[str, str] | None = None) -> Iterator[Setting]:
    """List every setting, whether or not the groups are valid."""
    environ = os.environ if environ is None else environ
    for group in GROUPS:
        problems: dict[str, str] = {}
        try:
            load(group)
        except ConfigurationError as error:
            problems = {line.split(":")[0].split(" ")[0]: line for line in error.problems}
        for field in group.model_fields.values():
            name = str(field.alias)
            given = environ.get(name) or None
            value = given if given is not None else field.default
            source = "environment" if given else "missing" if field.is_required() else "default"
            yield Setting(
                group=group.title,
                variable=name,
                value="" if source == "missing" else _shown(field.annotation, value),
                source=source,
                meaning=field.description or "",
                problem=problems.get(name, ""),
            )


def secrets(*urls: str, environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the texts that must be shown nowhere: tokens and passwords of the settings.

    Args:
        urls: others whose passwords are secret, too.
        environ: where the settings are.
    """
    environ = os.environ if environ is None else environ
    aliases = (
        str(field.alias)
        for group in GROUPS
        for field in group.model_fields.values()
        if _is_secret(field.annotation)
    )
    values = [*urls, *(environ.get(alias, "").strip() for alias in aliases)]
    return frozenset(found for value in values for found in _secret_parts(value) if found)


def _secret_parts(value: str) -> Iterator[str]:
    """Yield what is secret of a setting: of URLs the passwords, as written and as meant."""
    if "://" not in value:
        yield value
        return
    for url in value.split(";"):  # Sentinels are several
        try:
            password = urlsplit(url.strip()).password or ""
        except ValueError:
            yield url  # it is none that can be taken apart
        else:
            yield from (password, unquote(password))


def _is_secret(annotation: object) -> bool:
    return annotation in (SecretStr, SecretStr | None)


def _shown(annotation: object, value: object) -> str:
    if value is None:
        return ""
    if not _is_secret(annotation):
        return str(value)
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return mask_url(text)


def mask_url(text: str) -> str:
    """Show URLs without their passwords; anything else that is secret not at all."""
    return ";".join(map(_masked, text.split(";")))


def _masked(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        return MASK
    if not parts.scheme or not (parts.hostname or parts.scheme == "redis+socket"):
        return MASK
    if "@" not in text:
        return text
    if "@" not in parts.netloc:
        return MASK  # a password with / # or ? in it
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{MASK}@{host}", query="", fragment=""))
