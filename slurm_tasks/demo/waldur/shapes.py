"""The JSON of orders, key for key as a real server gives it, and what rows have in common."""

from datetime import datetime

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import (
    Order,
    OrderType,
    Resource,
)
from slurm_tasks.demo.waldur.values import Json, User

OFFERING_NAME = "SLURM cluster"
OFFERING_TYPE = "Marketplace.Slurm"
PROVIDER_NAME = "HPC Provider"
CATEGORY = "HPC"
PLAN_NAME = "Standard"
PLUGIN_OPTIONS = {"username_generation_policy": "service_provider"}


def stamp(moment: datetime | None) -> str | None:
    """Return a moment as Waldur writes it."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def slug(name: str) -> str:
    """Return a name's short form: lower case, eight characters, a number."""
    short = "-".join(name.lower().split())[:8]
    return f"{short}-1"


def offering_keys(db: Database) -> Json:
    """Return what orders and resources repeat of their offering."""
    return _older_or_newer_keys(db) | {
        "offering": f"{db.url}marketplace-public-offerings/{db.offering_uuid}/",
        "offering_name": OFFERING_NAME,
        "offering_uuid": db.offering_uuid,
        "offering_description": "",
        "offering_image": None,
        "offering_thumbnail": None,
        "offering_type": OFFERING_TYPE,
        "offering_shared": True,
        "offering_billable": True,
        "offering_plugin_options": PLUGIN_OPTIONS,
        "provider_name": PROVIDER_NAME,
        "provider_uuid": db.provider_uuid,
        "category_title": CATEGORY,
        "category_uuid": db.category_uuid,
        "category_icon": f"{db.url}media/{db.category_uuid}/",
    }


def plan_keys(db: Database, *, link: bool = True) -> Json:
    """Return what orders and resources repeat of their plan."""
    url = f"{db.url}marketplace-public-offerings/{db.offering_uuid}/plans/{db.plan_uuid}/"
    return {
        "plan": url if link else None,
        "plan_unit": "month",
        "plan_name": PLAN_NAME,
        "plan_uuid": db.plan_uuid,
        "plan_description": "",
    }


def scope_keys(resource: Resource) -> Json:
    """Return the uuid and type of the plugin's own record: null on GEN-B, and at first on GEN-A."""
    allocation = resource.allocation
    return {
        "resource_uuid": None if allocation is None else allocation.uuid,
        "resource_type": None if allocation is None else "SLURM.Allocation",
    }


def order_row(db: Database, order: Order) -> Json:
    """Return an order as its list and its page show it."""
    resource = order.resource
    terminates = order.type == OrderType.TERMINATE
    row = offering_keys(db) | plan_keys(db, link=not terminates)
    if terminates:
        # The recordings of Terminate orders carry the link as null and no other plan key.
        for key in ("plan_unit", "plan_name", "plan_uuid", "plan_description"):
            del row[key]
    row |= {
        "attributes": order.attributes,
        "limits": order.limits,
        "uuid": order.uuid,
        "created": stamp(order.created),
        "modified": stamp(order.modified),
        "type": order.type.value,
        **scope_keys(resource),
        "resource_name": resource.name,
        "cost": None if terminates else "0.0000000000",
        "state": order.state.value,
        "output": order.output,
        "marketplace_resource_uuid": resource.uuid,
        "error_message": order.error_message,
        "callback_url": None,
        **_review_keys(db, "consumer", order.consumer_reviewed_by, order.consumer_reviewed_at),
        **_review_keys(db, "provider", order.provider_reviewed_by, order.provider_reviewed_at),
        "created_by_full_name": order.created_by.full_name,
        "created_by_civil_number": None,
        **_owner_keys(db, resource),
        "old_cost_estimate": 0.0,
        "new_cost_estimate": None if terminates else 0.0,
        "can_terminate": False,
        "fixed_price": 0,
        "activation_price": 0,
        "termination_comment": None,
        "backend_id": order.backend_id,
        "issue": None,
    }
    if not terminates:
        row |= {"new_plan_name": PLAN_NAME, "new_plan_uuid": db.plan_uuid}
    return row | (_newer_order_keys(db, order) if db.generation == "b" else {})


def created_order_row(db: Database, order: Order) -> Json:
    """Return an order as the answer to its creation shows it, which has other keys."""
    author = f"{db.url}users/{order.created_by.uuid}/"
    full = order_row(db, order)
    keys = tuple(full)[: tuple(full).index("callback_url") + 1]
    reviewed: Json = {
        "consumer_reviewed_at": stamp(order.consumer_reviewed_at),
        "consumer_reviewed_by": None,
    }
    if order.consumer_reviewed_by is not None:
        reviewed |= {
            "consumer_reviewed_by": f"{db.url}users/{order.consumer_reviewed_by.uuid}/",
            "consumer_reviewed_by_username": order.consumer_reviewed_by.username,
            "consumer_reviewed_by_full_name": order.consumer_reviewed_by.full_name,
        }
    owner = _owner_keys(db, order.resource)
    return {
        **{key: full[key] for key in keys},
        "url": f"{db.url}marketplace-orders/{order.uuid}/",
        "created_by": author,
        "created_by_username": order.created_by.username,
        "created_by_full_name": order.created_by.full_name,
        **reviewed,
        "project": f"{db.url}projects/{order.resource.project_uuid}/",
        **{key: value for key, value in owner.items() if not key.endswith("_slug")},
    }


def _owner_keys(db: Database, resource: Resource) -> Json:
    project = db.projects[resource.project_uuid]
    customer = db.customer_of_resource(resource)
    return {
        "customer_name": customer.name,
        "customer_uuid": customer.uuid,
        "customer_slug": slug(customer.name),
        "project_name": project.name,
        "project_uuid": project.uuid,
        "project_description": project.name,
        "project_slug": slug(project.name),
    }


def _older_or_newer_keys(db: Database) -> Json:
    if db.generation == "a":
        return {"offering_terms_of_service": ""}
    return {"provider_slug": slug(PROVIDER_NAME)}


def _review_keys(db: Database, side: str, user: User | None, moment: datetime | None) -> Json:
    """Return who approved: without a reviewer his keys are missing, not null."""
    keys: Json = {f"{side}_reviewed_at": stamp(moment)}
    if user is not None:
        keys[f"{side}_reviewed_by"] = user.username
        keys[f"{side}_reviewed_by_full_name"] = user.full_name
        if db.generation == "b":
            keys[f"{side}_reviewed_by_username"] = user.username
    return keys


def _newer_order_keys(db: Database, order: Order) -> Json:
    return {
        "url": f"{db.url}marketplace-orders/{order.uuid}/",
        "slug": slug(order.resource.name),
        "error_traceback": order.error_traceback,
        "completed_at": stamp(order.completed_at),
        "start_date": order.start_date and order.start_date.isoformat(),
        "request_comment": None,
        "attachment": None,
        "order_subtype": None,
        "old_plan_name": PLAN_NAME,
        "old_plan_uuid": db.plan_uuid,
        "consumer_message": "",
        "provider_message": "",
        "provider_message_url": None,
        "consumer_rejection_comment": None,
        "provider_rejection_comment": None,
        "created_by_username": order.created_by.username,
        "created_by_email": order.created_by.email,
    }
