"""Findings: what a check saw, each ok or with what to do."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Verdict(StrEnum):
    """How something was found."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(BaseModel):
    """One line of a check.

    Attributes:
        what: what was looked at.
        verdict: how it is.
        message: what was seen; where it isn't ok, what to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    verdict: Verdict
    message: str


def ok(what: str, message: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(what=what, verdict=Verdict.OK, message=message)


def warning(what: str, message: str) -> Finding:
    """Say that something deserves a look."""
    return Finding(what=what, verdict=Verdict.WARNING, message=message)


def failed(what: str, message: str) -> Finding:
    """Say that something doesn't work, and what to do."""
    return Finding(what=what, verdict=Verdict.FAILED, message=message)
