"""`slurm-tasks orders …`: the orders that wait, and carrying them out by hand."""

from typing import Any

import click

from slurm_tasks.cli import common

PATIENCE = 5.0
"""Seconds that a person waits for Waldur's own worker, which mostly takes 0.3 s."""


@click.group()
def orders() -> None:
    """List orders and carry them out."""


@orders.command(name="list")
@common.as_json
@common.reports_errors
def list_(as_json: bool) -> None:
    """Print the orders that wait for this service, oldest first (asks Waldur directly)."""
    from slurm_tasks.sync import orders as flow

    found = flow.waiting(common.local_control())
    if as_json:
        common.print_json([order.model_dump(mode="json") for order in found])
        return
    if not found:
        click.echo("no orders wait")
        return
    common.print_table(
        ["order", "type", "state", "allocation", "project", "customer", "limits"],
        [
            (
                order.uuid,
                order.type,
                order.state,
                order.resource_name,
                order.project_name,
                order.customer_name,
                ", ".join(f"{name}={value}" for name, value in order.limits.items()),
            )
            for order in found
        ],
    )


@orders.command()
@common.through_queue
def sync(local: bool, timeout: int, as_json: bool) -> None:
    """Carry out all orders that wait, and print what became of each."""
    from slurm_tasks import celery_settings as names

    if not local:
        started = common.run(names.ORDERS_SYNC, "looking for orders", timeout)
        common.end(_show([_awaited(row, timeout) for row in started], as_json))
        return
    from slurm_tasks.sync import mending
    from slurm_tasks.sync import orders as flow

    control = common.local_control()
    code = _show([_locally(order.uuid) for order in flow.waiting(control)], as_json)
    mending.mend(control)  # after what became of the orders was told: it may fail
    common.end(code)


@orders.command()
@click.argument("uuid")
@common.through_queue
def process(uuid: str, local: bool, timeout: int, as_json: bool) -> None:
    """Carry out one order, by its UUID."""
    from slurm_tasks import celery_settings as names
    from slurm_tasks.model.names import fold_uuid

    try:
        uuid = fold_uuid(uuid)
    except ValueError as error:
        common.fail(error, common.MISCONFIGURED)
    if local:
        result = _locally(uuid)
    else:
        result = common.run(names.ORDERS_PROCESS, f"order {uuid}", timeout, uuid)
    common.end(_show([result], as_json))


def _awaited(started: dict[str, str], timeout: float) -> dict[str, str]:
    """Wait for one order; what went wrong with it doesn't hide what became of others."""
    from slurm_tasks.errors import SlurmTasksError

    if "stuck" in started:
        return {"order": started["order"], "result": f"stuck: {started['stuck']}"}
    what = f"{started['type']} {started['name']}"
    try:
        result: dict[str, str] = common.wait(common.result_of(started["task"]), what, timeout)
    except SlurmTasksError as error:
        return {"order": started["order"], "result": f"failed: {error}"}
    return result


def _locally(uuid: str) -> dict[str, str]:
    """Carry out one order here; one that has to wait doesn't keep others from being done."""
    from slurm_tasks.errors import OrderStuckError, TransientError, WaldurRefusedError

    try:
        return {"order": uuid, "result": _carried_out(uuid)}
    except OrderStuckError as error:
        return {"order": uuid, "result": f"stuck: {error}"}
    except (TransientError, WaldurRefusedError) as error:
        return {"order": uuid, "result": f"waits: {error}"}


def _carried_out(uuid: str) -> str:
    import stamina

    from slurm_tasks.errors import ServerLateError
    from slurm_tasks.model.messages import ReconcileRequest
    from slurm_tasks.sync import cluster
    from slurm_tasks.sync import orders as flow

    control = common.local_control()
    prepare = stamina.retry(
        on=ServerLateError, attempts=None, timeout=PATIENCE, wait_initial=0.3, wait_max=1
    )(flow.prepare)
    desired = prepare(control, uuid)
    if isinstance(desired, str):
        return desired
    request = ReconcileRequest(items=(desired,), dry_run=control.read_only)
    (outcome,) = cluster.reconcile(request, common.local_headnode()).outcomes
    return flow.complete(control, outcome)


def _show(results: list[dict[str, Any]], as_json: bool) -> int:
    """Print what became of orders; returns the exit code, 1 unless all are done."""
    if as_json:
        common.print_json(results)
    elif not results:
        click.echo("no orders wait")
    else:
        common.print_table(["order", "result"], [(row["order"], row["result"]) for row in results])
    open_ended = [row for row in results if not row["result"].startswith(("done", "the order is"))]
    return common.FAILED if open_ended else 0
