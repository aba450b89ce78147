"""Small builders of what many unit tests start from: a site, one allocation, a cluster."""

from __future__ import annotations

from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.messages import Desired, Intent, Owner
from slurm_tasks.model.names import Kind, Prefixes, allocation_name, describe, owner_name
from slurm_tasks.model.plan import Rules
from slurm_tasks.model.submission import CLOSED, OPEN

PREFIXES = Prefixes("hpc_", "hpc_", "hpc_", 34)
RULES = Rules(PREFIXES, root="waldur", user_default="waldur")
REMOVABLE = frozenset({"alice", "bob", "carol", "dave"})


def uuid(text: str) -> str:
    """Make a uuid of two hex digits."""
    return text * 16


UNI = Owner(uuid=uuid("c1"), title="Uni")
LAB = Owner(uuid=uuid("b1"), title="Lab")
RESOURCE = uuid("a1")
CUSTOMER_ACCOUNT = owner_name(PREFIXES, Kind.CUSTOMER, UNI.uuid)
PROJECT_ACCOUNT = owner_name(PREFIXES, Kind.PROJECT, LAB.uuid)


def name_of(resource: str, title: str = "Genomics") -> str:
    """Name an allocation's account."""
    return allocation_name(PREFIXES, resource, title)


ACCOUNT = name_of(RESOURCE)


def desired(intent: Intent = Intent.CREATE, **changed: object) -> Desired:
    """Make an allocation of LAB at UNI, with some of it changed."""
    usual: dict[str, object] = {
        "intent": intent,
        "resource": RESOURCE,
        "title": "Genomics",
        "customer": UNI,
        "project": LAB,
    }
    return Desired.model_validate(usual | changed)


def customer(owner: Owner = UNI, parent: str = "waldur") -> Account:
    """Make a customer's account."""
    name = owner_name(PREFIXES, Kind.CUSTOMER, owner.uuid)
    return Account(name, parent, describe(Kind.CUSTOMER, owner.uuid, owner.title).lower())


def project(owner: Owner = LAB, parent: str = CUSTOMER_ACCOUNT) -> Account:
    """Make a project's account."""
    name = owner_name(PREFIXES, Kind.PROJECT, owner.uuid)
    return Account(name, parent, describe(Kind.PROJECT, owner.uuid, owner.title).lower())


def allocation(
    *users: str,
    resource: str = RESOURCE,
    parent: str = PROJECT_ACCOUNT,
    limits: dict[str, int] | None = None,
    blocked: bool = False,
) -> Account:
    """Make an allocation's account."""
    text = describe(Kind.ALLOCATION, resource, "Genomics").lower()
    name = name_of(resource)
    return Account(name, parent, text, limits or {}, frozenset(users), CLOSED if blocked else OPEN)


def cluster(*accounts: Account, users: frozenset[str] = frozenset()) -> Cluster:
    """Make a cluster with root, `waldur` with users, and other accounts."""
    standing = (Account("root"), Account("waldur", "root", "default", users=users), *accounts)
    return Cluster("lab", {account.name: account for account in standing})


def standing_cluster(
    *users: str, limits: dict[str, int] | None = None, blocked: bool = False
) -> Cluster:
    """Make a cluster with one allocation, its project and its customer."""
    mine = allocation(*users, limits=limits, blocked=blocked)
    return cluster(customer(), project(), mine, users=frozenset(users))
