"""The JSON of resources and of GEN-A's Allocations."""

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import Allocation, PlanPeriod, Resource, ResourceState
from slurm_tasks.demo.waldur.shapes import (
    CATEGORY,
    OFFERING_NAME,
    PLAN_NAME,
    PLUGIN_OPTIONS,
    offering_keys,
    order_row,
    plan_keys,
    scope_keys,
    slug,
    stamp,
)
from slurm_tasks.demo.waldur.shapes_offering import component_row
from slurm_tasks.demo.waldur.values import Json


def resource_row(db: Database, resource: Resource) -> Json:
    """Return a resource as its list and its page show it."""
    project = db.projects[resource.project_uuid]
    customer = db.customer_of_resource(resource)
    active = db.active_order(resource)
    creation = db.creation_order(resource)
    limit_types = [c.spec.type for c in db.components.values() if c.spec.billing_type == "limit"]
    return {
        **offering_keys(db),
        **plan_keys(db),
        "attributes": resource.attributes,
        "limits": resource.limits,
        "uuid": resource.uuid,
        "created": stamp(resource.created),
        "modified": stamp(resource.modified),
        "url": f"{db.url}marketplace-resources/{resource.uuid}/",
        "scope": _scope_url(db, resource.allocation),
        "description": "",
        "state": resource.state.value,
        **scope_keys(resource),
        "backend_id": resource.backend_id,
        "effective_id": resource.effective_id,
        "project": f"{db.url}projects/{project.uuid}/",
        "project_uuid": project.uuid,
        "project_name": project.name,
        "project_description": project.name,
        "project_end_date": None,
        "project_end_date_requested_by": None,
        "customer_uuid": customer.uuid,
        "customer_name": customer.name,
        "backend_metadata": resource.backend_metadata,
        "is_usage_based": True,
        "is_limit_based": bool(limit_types),
        "name": resource.name,
        "slug": slug(resource.name),
        "current_usages": _current_usages(db, resource),
        "can_terminate": _can_terminate(db, resource),
        "report": resource.report,
        "end_date": None if resource.end_date is None else resource.end_date.isoformat(),
        "end_date_requested_by": None,
        "username": None,
        "limit_usage": {type_: _limit_usage(db, resource, type_) for type_ in limit_types},
        "downscaled": resource.downscaled,
        "restrict_member_access": resource.restrict_member_access,
        "paused": resource.paused,
        "endpoints": [],
        "error_message": resource.error_message,
        "error_traceback": resource.error_traceback,
        "options": None,
        "available_actions": [],
        "order_in_progress": None if active is None else order_row(db, active),
        "creation_order": None if creation is None else order_row(db, creation),
        **_newer_or_older_keys(db, resource),
    }


def allocation_row(db: Database, resource: Resource, allocation: Allocation) -> Json:
    """Return GEN-A's Allocation as slurm-allocations shows it."""
    project = db.projects[resource.project_uuid]
    customer = db.customer_of_resource(resource)
    limits = {key: allocation.limits.get(key, 0) for key in ("cpu", "gpu", "ram")}
    return {
        "url": _scope_url(db, allocation),
        "uuid": allocation.uuid,
        "name": resource.name,
        "description": "",
        "service_name": "SLURM remote service settings",
        "service_settings": f"{db.url}service-settings/{db.service_provider_uuid}/",
        "service_settings_uuid": db.service_provider_uuid,
        "service_settings_state": "OK",
        "service_settings_error_message": "",
        "project": f"{db.url}projects/{project.uuid}/",
        "project_name": project.name,
        "project_uuid": project.uuid,
        "customer": f"{db.url}customers/{customer.uuid}/",
        "customer_name": customer.name,
        "customer_native_name": "",
        "customer_abbreviation": "",
        "error_message": "",
        "error_traceback": "",
        "resource_type": "SLURM.Allocation",
        "state": allocation.state.value,
        "created": stamp(allocation.created),
        "modified": stamp(allocation.modified),
        "backend_id": allocation.backend_id,
        "access_url": None,
        "cpu_limit": limits["cpu"],
        "cpu_usage": 0,
        "gpu_limit": limits["gpu"],
        "gpu_usage": 0,
        "ram_limit": limits["ram"],
        "ram_usage": 0,
        "username": None,
        "gateway": None,
        "is_active": True,
        "marketplace_offering_uuid": db.offering_uuid,
        "marketplace_offering_name": OFFERING_NAME,
        "marketplace_offering_plugin_options": PLUGIN_OPTIONS,
        "marketplace_category_uuid": db.category_uuid,
        "marketplace_category_name": CATEGORY,
        "marketplace_resource_uuid": resource.uuid,
        "marketplace_plan_uuid": db.plan_uuid,
        "marketplace_resource_state": resource.state.value,
        "is_usage_based": True,
        "is_limit_based": True,
    }


def plan_period_row(db: Database, period: PlanPeriod) -> Json:
    """Return a plan period as the resource's plan_periods show it."""
    return {
        "uuid": period.uuid,
        "plan_name": PLAN_NAME,
        "plan_uuid": db.plan_uuid,
        "start": stamp(period.start),
        "end": stamp(period.end),
        "components": [],
    }


def _scope_url(db: Database, allocation: Allocation | None) -> str | None:
    return None if allocation is None else f"{db.url}slurm-allocations/{allocation.uuid}/"


def _newer_or_older_keys(db: Database, resource: Resource) -> Json:
    if db.generation == "a":
        return {"offering_customer_uuid": db.provider_uuid}
    project = db.projects[resource.project_uuid]
    customer = db.customer_of_resource(resource)
    return {
        "offering_slug": slug(OFFERING_NAME),
        "offering_state": db.switches.offering_state,
        "offering_backend_id": "",
        "project_slug": slug(project.name),
        "customer_slug": slug(customer.name),
        "last_sync": stamp(resource.last_sync or resource.created),
        "offering_components": [component_row(db, c) for c in db.components.values()],
        "renewal_date": None,
        "user_requires_reconsent": False,
    }


def _current_usages(db: Database, resource: Resource) -> Json:
    """Return the last report's amounts: texts on GEN-A, numbers in GEN-B's schema."""
    if db.generation == "a":
        return {type_: str(amount) for type_, amount in resource.current_usages.items()}
    return {type_: float(amount) for type_, amount in resource.current_usages.items()}


def _limit_usage(db: Database, resource: Resource, type_: str) -> float | str | None:
    """Return what is used of a limit; on GEN-A of a monthly one the last report's text."""
    component = db.component(type_)
    if component is None:
        return None
    if db.generation == "a" and component.spec.limit_period in (None, "month"):
        amount = resource.current_usages.get(type_)
        return None if amount is None else str(amount)
    usage = db.usage_of(resource, component, db.billing_period())
    return None if usage is None else float(usage.usage)


def _can_terminate(db: Database, resource: Resource) -> bool:
    settled = resource.state in (ResourceState.OK, ResourceState.ERRED)
    return settled and db.active_order(resource) is None
