"""One allocation on its way through a reconciliation: what it needs, and how it comes out."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import structlog

from slurm_tasks.model.changes import Change
from slurm_tasks.model.messages import Desired, Status
from slurm_tasks.sync.measure import Measured


@dataclass
class Item:
    """One allocation on its way through a reconciliation."""

    desired: Desired
    changes: list[Change] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    spelling: dict[str, str] = field(default_factory=dict)
    status: Status = Status.APPLIED
    message: str = ""
    said: list[str] = field(default_factory=list)
    account: str = ""
    ours: bool = False
    measured: Measured | None = None

    @property
    def wanted(self) -> Desired:
        """What can be done of it now: users who have to wait are left out.

        Those who join are spelled as the head node knows them.
        """
        if self.desired.users is None or not self.waiting | self.spelling:
            return self.desired
        spelled = (self.spelling.get(user, user) for user in self.desired.users)
        users = tuple(user for user in spelled if user not in self.waiting)
        return self.desired.model_copy(update={"users": users})

    def settle(self, status: Status, message: object) -> None:
        """Note how it ended."""
        self.status, self.message = status, str(message)

    def in_log(self) -> AbstractContextManager[None]:
        """Put its order and account on every line that is logged meanwhile."""
        context = {"order": self.desired.order, "account": self.account}
        return structlog.contextvars.bound_contextvars(**context)

    @property
    def open(self) -> bool:
        """Whether anything may still be done for it."""
        return self.status is Status.APPLIED
