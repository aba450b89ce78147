"""What happened beside the recorded requests, and the rows that the simulator answers otherwise."""

from collections.abc import Callable

from tests.contract.waldur.project_run import ProjectRun

G3 = "09af4c5b8cce4cdfb145ad34c51bac6d"
G4 = "1288f49430e949fc863b440ad5270dbf"

USAGE = "355c070321c247cda889aeb358dcf3f3"
ERRED_ONE = "6d45af5b2afc4e368d425db68264bcd1"
ERRORS = "c5a8e3fc888442ecac0881fd3d1f2443"
OVER = "c357eec3310c46468c49960076896908"
MEM = "d02a1bae59ec4bc387caa63d38207241"
_LATE = {
    "H-U1": ("91a416f553574a80a677112456472e86", "hpc_91a41_h-u1-6f55357"),
    "H-U2": ("0524e693eb074872add4d4c47f58d814", "hpc_0524e_h-u2-693eb07"),
    "H-U3": ("9f5ee934ef9944e2a85feccb2a4f6471", "hpc_9f5ee_h-u3-934ef99"),
    "H-T1": ("2537fd7be58244b6a68aa96f586404d7", "hpc_2537f_h-t1-d7be582"),
    "H-T2": ("cf3533954b5b4de7af5eb58345dce9a4", "hpc_cf353_h-t2-3954b5b"),
    "H-T3": ("f1f61359f6824a43a39f430b1084765a", "hpc_f1f61_h-t3-359f682"),
    "H-T4": ("1d2a8a427d654e3baca9b8f15b5c9bab", "hpc_1d2a8_h-t4-a427d65"),
    "H-T5": ("68b2d8af58fc4fa2923c73a89d91f576", "hpc_68b2d_h-t5-8af58fc"),
}
_TRIED_COMPONENTS = (
    "7bed46762c9348d5b2e524a035018ff4",
    "9d662d79f79b4dcaa0fef5ab33fca6a8",
    "09586396bfb942a9a484e8e2c9289bcd",
)

Steps = dict[str, dict[int, Callable[[ProjectRun], None]]]


def _know_accounts(run: ProjectRun) -> None:
    """Learn the offering users that a later row names before it shows them."""
    for username, recorded in {
        "a2": "ce5a488726be4b84bf4240e2caba8c4a",
        "a4": "f2cd329fd6d846f8816255e03fcde4a2",
    }.items():
        run.know_account(username, recorded)


def _end_two(run: ProjectRun) -> None:
    for resource in (G3, G4):
        run.terminate(resource)


def _remove_components(run: ProjectRun) -> None:
    for recorded in _TRIED_COMPONENTS:
        run.component("remove_offering_component", {"uuid": recorded})


def _limit_components(run: ProjectRun) -> None:
    """Give components the limits that are tried out: 100 a month, 1 a year, 1 in total."""
    usage = {"billing_type": "usage"}
    mem = {"type": "mem", "name": "RAM", "measured_unit": "MB-minutes", **usage}
    run.component(
        "update_offering_component",
        {**mem, "uuid": MEM, "limit_period": "month", "limit_amount": 100},
    )
    billing = {"type": "billing", "name": "Billing", "measured_unit": "units", **usage}
    run.component(
        "create_offering_component", {**billing, "limit_period": "annual", "limit_amount": 1}
    )
    node = {"type": "node", "name": "Nodes", "measured_unit": "node-minutes", **usage}
    run.component("create_offering_component", {**node, "limit_period": "total", "limit_amount": 1})


def _know_usages(run: ProjectRun) -> None:
    """Learn the component usages that rows name which lists don't show."""
    run.know_usage("c0fe4b675df84c8fbd53a183efc54e11", USAGE, "cpu")
    run.know_usage("ed60550a50724f01abbd9bd16206607c", ERRED_ONE, "mem")
    run.know_usage("531a9bb848354f25a2d803ca4522417b", ERRED_ONE, "node")


def _know_node_usage(run: ProjectRun) -> None:
    run.know_usage("cbd0596a138a4fb9a44a3f0f9fb5a244", USAGE, "node")


def _stop_worker(run: ProjectRun) -> None:
    """Make eight allocations to update and terminate, and stop the server's own worker."""
    mem = {"type": "mem", "name": "RAM", "measured_unit": "GB-hours", "billing_type": "usage"}
    limit = {"limit_period": None, "limit_amount": 40000}
    run.component("update_offering_component", {**mem, **limit, "uuid": MEM})
    for name, (recorded, backend_id) in _LATE.items():
        run.create(name, recorded, backend_id)
    for name in ("H-T2", "H-T5"):
        run.report_users(_LATE[name][0])
    run.replay.waldur.stop_worker()


def _start_worker(run: ProjectRun) -> None:
    run.replay.waldur.start_worker()


def _keep_report(run: ProjectRun) -> None:
    """Report the users of one whose report was not lost, by good luck."""
    run.report_users(OVER)


def _before_errors(run: ProjectRun) -> None:
    """Make an allocation with an Update that waits, one that is Creating, and one that erred."""
    waldur, uuids = run.replay.waldur, run.replay.uuids
    run.create("Errors", ERRORS, "hpc_err")
    resource = waldur.resource(uuids[ERRORS])
    uuids["36ef473a1d644bd4a1bc7eae33bf3609"] = resource["resource_uuid"]
    uuids["0814ba60218c4ec3a0ac4f341e75e3cc"] = resource["creation_order"]["uuid"]
    limits = {"cpu": 11, "gres/gpu": 1}
    uuids["43c2cbe0956d403f98d0dd171523fbe5"] = waldur.order_update(resource["uuid"], limits)
    usages = [{"type": "mem", "amount": "1.00"}]
    body = {"resource": resource["uuid"], "usages": usages}
    run.ask("POST", "marketplace-component-usages/set_usage/", body).raise_for_status()
    executing = waldur.order_create(run.project, "executing", limits)
    run.ask("POST", f"marketplace-orders/{executing}/approve_by_provider/").raise_for_status()
    waldur.finish_jobs()
    erred = waldur.order_create(run.project, "erred", limits)
    run.ask("POST", f"marketplace-orders/{erred}/set_state_executing/").raise_for_status()
    texts = {"error_message": "by hand", "error_traceback": ""}
    run.ask("POST", f"marketplace-orders/{erred}/set_state_erred/", texts).raise_for_status()
    uuids["e8c390e4668f4e56b5e08f4f3d6b830a"] = executing
    uuids["feea3b6002114a1e942f7178baab67fe"] = waldur.order(executing)["marketplace_resource_uuid"]
    uuids["bfb61e8b77774f5abfff3c33e6cd7cf5"] = erred
    uuids["61ac067bc3aa4660b54bc1994e5a9dc8"] = waldur.order(erred)["marketplace_resource_uuid"]


STEPS: Steps = {
    "errors": {0: _before_errors},
    "orders-refused": {31: _keep_report},
    "late-worker": {0: _stop_worker, 143: _start_worker},
    "update-without-plan-price": {0: _remove_components},
    "usage": {
        0: _limit_components,
        65: _know_usages,
        132: _know_node_usage,
    },
    "member-sync": {0: _end_two},
    "life-cycle": {0: _know_accounts},
}

OTHERWISE: dict[str, dict[int, str]] = {
    "life-cycle": {0: "which three of five users without a name come first is anybody's"},
    "filters-orders": {91: "OPTIONS: the project never asks, so it isn't played"},
}
"""By file and row, why the simulator's answer differs."""
