"""QoS of associations: which ones their jobs may run in, and which by default."""

from __future__ import annotations

from .replies import RefusedError, UnsupportedError
from .state import Cluster
from .words import names

SETTINGS = {"qos", "defaultqos"}
_NO_ACCESS = (
    " These associations don't have access to their default qos.",
    " Please give them access before they the default can be set to this.",
)


def change(cluster: Cluster, account: str, user: str, changed: dict[str, str]) -> None:
    """Set the QoS of one association; `qos=` and `defaultqos=-1` let it inherit them.

    Raises:
        RefusedError: a QoS is unknown, or a default would be outside its list: the default that
            an association then has, in 22.05 the one that is set for it here.
    """
    if not SETTINGS & changed.keys():
        return
    listed, default = _parse(cluster, changed)
    cluster.db.execute(
        """
        UPDATE assoc SET qos = coalesce(?, qos), default_qos = coalesce(?, default_qos)
        WHERE account = ? AND user = ?""",
        (listed, default, account, user),
    )
    lines = []
    for (name, who, _), (allowed, own) in cluster.qos().items():
        wanted = (cluster.old and default) or own
        touched = name == account and user in {"", who}
        if touched and wanted and wanted not in allowed.split(","):
            whose = f"  U = {who:<9}" if who else ""
            lines.append(f"  DefQOS = {wanted:<10} C = {cluster.name:<10} A = {name:<20}{whose}")
    if not lines:
        return
    if cluster.old:
        raise RefusedError(*_NO_ACCESS, *lines, code=0)
    reason = (
        " Error with request: This request would make it so some associations would not have"
        " access to their default qos."
    )
    raise RefusedError("sacctmgr: error: ", *_NO_ACCESS, *lines, "", reason)


def _parse(cluster: Cluster, changed: dict[str, str]) -> tuple[str | None, str | None]:
    """Return the list and the default; empty for the inherited one, None for the present one."""
    known = [name for (name,) in cluster.db.execute("SELECT name FROM qos ORDER BY rowid")]
    listed, default = changed.get("qos"), changed.get("defaultqos")
    if listed:
        if listed.startswith(("+", "-")):
            raise UnsupportedError("adding to a list of QoS, or removing from one")
        for name in names(listed):
            if name not in known:
                raise RefusedError(
                    f"sacctmgr: error: You gave a bad qos '{name}'. Valid QOS's are"
                    f" {','.join(known)}",
                    f" Unknown option: qos={listed}",
                    " Use keyword 'where' to modify condition",
                )
        listed = ",".join(sorted(names(listed)))
    if default == "-1":
        default = ""
    elif default is not None and default.lower() not in known:
        raise RefusedError(
            f"You gave a bad default qos '{default}'.  Use 'list qos' to get complete list."
        )
    return listed, default and default.lower()
