"""Terms of service: who has agreed to them, and whom a provider sees for that reason."""

from collections.abc import Iterable

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.values import Role, User
from slurm_tasks.demo.waldur.versions import Feature


def has_agreed(db: Database, user: User) -> bool:
    """Tell whether a person has agreed to the offering's terms as they are now."""
    return user.uuid in db.agreed


def shown_to(db: Database, viewer: User, people: Iterable[User]) -> list[User]:
    """Return those of some people whom a viewer sees: staff see all, others who has agreed."""
    enforced = db.has(Feature.CONSENT) and db.switches.enforce_consent
    if not enforced or viewer.role == Role.STAFF:
        return list(people)
    return [user for user in people if has_agreed(db, user)]
