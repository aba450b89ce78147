"""Waldur's flags: the account of a paused resource takes no jobs, a downscaled one has its QoS."""

from collections.abc import Iterator

from slurm_tasks.model.changes import Change, SetBlocked, SetQos
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.messages import Desired
from slurm_tasks.model.rules import Rules


def changes(desired: Desired, account: Account, state: Cluster, rules: Rules) -> Iterator[Change]:
    """Close or open an account and switch its QoS, as the resource is paused or downscaled.

    It is closed before its QoS is switched, and opened after that: nobody slips in between.
    """
    switch = _switch(desired, account, state, rules)
    after = switch.advance(state) if switch else state
    reason = _why_qos_does_not_close(desired, account, after, rules)
    closed = bool(desired.paused) and (rules.qos.paused is None or bool(reason))
    submission = account.submission
    if closed and not submission.is_closed:
        yield SetBlocked(account.name, submission.close(), reason, submission.lost_by_closing())
    if switch:
        yield switch
    if desired.paused is not None and not closed and account.blocked:
        yield SetBlocked(account.name, submission.open())


def obstacle(desired: Desired, account: Account, state: Cluster, rules: Rules) -> str:
    """Say why an account doesn't have the QoS of downscaled ones, though it should; or nothing."""
    if not desired.downscaled or desired.paused:
        return ""
    if not rules.qos.downscaled:
        return "SLURM_DOWNSCALED_QOS is not set, or there is no such QoS"
    if state.qos_of(account.name) == {rules.qos.downscaled}:
        return ""
    return _refusal(account, rules.qos.downscaled, state)


def _switch(desired: Desired, account: Account, state: Cluster, rules: Rules) -> SetQos | None:
    """Return the change of the QoS that is wanted, if slurmdbd takes it."""
    wanted = (desired.paused and rules.qos.paused) or (desired.downscaled and rules.qos.downscaled)
    if wanted:
        if state.qos_of(account.name) == {wanted}:
            return None
        if wanted == rules.qos.paused and _has_own_qos(account, rules):
            return None
        return None if _refusal(account, wanted, state) else SetQos(account.name, wanted)
    known = desired.paused is not None or desired.downscaled is not None
    switched = bool(account.qos) and account.qos <= rules.qos.temporary
    usual = rules.qos.usual
    if not known or not switched or account.qos == {usual} or _refusal(account, usual, state):
        return None
    return SetQos(account.name, usual)


def _has_own_qos(account: Account, rules: Rules) -> bool:
    """Tell whether a site has given an account QoS of its own: a switch would lose them."""
    ours = rules.qos.temporary | frozenset(filter(None, (rules.qos.usual,)))
    return bool((account.qos | frozenset(filter(None, (account.default_qos,)))) - ours)


def _refusal(account: Account, qos: str | None, state: Cluster) -> str:
    """Say why slurmdbd would refuse to switch an account to a QoS."""
    outside = SetQos(account.name, qos).advance(state).outside_their_qos(account.name)
    if not outside:
        return ""
    return f"the DefaultQOS of {', '.join(outside)} would be outside of the QoS that they may use"


def _why_qos_does_not_close(
    desired: Desired, account: Account, after: Cluster, rules: Rules
) -> str:
    """Say why a paused account takes jobs in spite of its QoS, if it does.

    A site's own QoS lists below it go on to hold; 24.11 doesn't tell slurmctld of the switch for
    users of accounts below it (measured).
    """
    qos = rules.qos.paused
    if not desired.paused or qos is None:
        return ""
    if _has_own_qos(account, rules):
        return f"it has QoS of its own, which a switch to {qos} would lose"
    if after.qos_of(account.name) != {qos}:
        return _refusal(account, qos, after) or f"it can't be switched to QoS {qos}"
    if not rules.qos.paused_closes:
        return f"QoS {qos} takes jobs"
    switched = after.accounts[account.name]
    own = sorted({user for (user, _), row in switched.associations.items() if row.qos - {qos}})
    if own:
        return f"{', '.join(own)} may use QoS of their own"
    below = sorted(child.name for child in after.children(account.name))
    return f"{', '.join(below)} stands below it" if below else ""
