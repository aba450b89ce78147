"""Associations that were removed and have jobs on record: slurmdbd marks them, and keeps them."""

from __future__ import annotations

from .removal import Pairs
from .state import Cluster

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_HAS_JOBS = "SELECT 1 FROM job WHERE account = ?1 AND (?2 = '' OR user = ?2 COLLATE NOCASE) LIMIT 1"


def keep(cluster: Cluster, accounts: list[str], users: Pairs) -> None:
    """Remember what is about to be removed; 24.11 keeps users only, not accounts' own rows."""
    own = [(account, "") for account in accounts] if cluster.old else []
    lineage = lineages(cluster)
    for account, user in [*own, *users]:
        if cluster.db.execute(_HAS_JOBS, (account, user)).fetchone():
            cluster.db.execute(
                """
                REPLACE INTO removed
                SELECT assoc.account, assoc.user, parent, description, ? FROM assoc
                JOIN account ON name = account WHERE assoc.account = ? AND assoc.user = ?""",
                (lineage(account, user), account, user),
            )


def lineages(cluster: Cluster) -> Callable[[str, str], str]:
    """Return what gives the accounts from below root to an association, as 24.11 lists them."""
    parents = dict(cluster.db.execute("SELECT account, parent FROM assoc WHERE user = ''"))

    def lineage(account: str, user: str) -> str:
        path = [f"0-{user}"] if user else []
        while account and account != "root":
            path.insert(0, account)
            account = parents.get(account, "")
        return "/".join(["", *path, ""])

    return lineage


def rows(cluster: Cluster) -> list[dict[str, str]]:
    """Return what is listed of removed associations, those left out that are there again."""
    query = """
        SELECT account, user, parent, description, lineage FROM removed
        WHERE NOT EXISTS (SELECT 1 FROM assoc WHERE assoc.account = removed.account
                          AND assoc.user = removed.user) ORDER BY account, user"""
    return [
        {
            "cluster": cluster.name,
            "account": account,
            "parentname": parent,
            "user": user,
            "description": description,
            "organization": "",
            "lineage": path,
        }
        for account, user, parent, description, path in cluster.db.execute(query)
    ]
