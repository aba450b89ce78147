"""Posted: what became of reports of usage."""

from dataclasses import dataclass, field

from slurm_tasks.sync.differences import Difference


@dataclass(frozen=True)
class Refusal:
    """What Waldur refused, whole or in part.

    Attributes:
        difference: what was posted.
        reason: why, and which components.
        final: whether it would be refused again; False for rights that the token lacks and the
            like, which an operator mends.
    """

    difference: Difference
    reason: str
    final: bool


@dataclass
class Posted:
    """What became of differences.

    Attributes:
        posted: what Waldur has now; without the components that it refused.
        refused: what it refused.
        closed: what came after Waldur had closed the month.
        missed: what it takes no more, as the month is over there: the components and amounts that
            it should have. A token that may date reports makes up for it.
        later: what can't be posted for the moment: the month is about to turn, or has not begun
            there, or was measured before it had ended.
    """

    posted: list[Difference] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    closed: list[Difference] = field(default_factory=list)
    missed: list[Difference] = field(default_factory=list)
    later: list[Difference] = field(default_factory=list)
