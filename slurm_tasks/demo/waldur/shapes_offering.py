"""The JSON of the offering, its projects and the usage that is reported."""

from datetime import datetime

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import (
    ComponentUsage,
    OfferingComponent,
    UserUsage,
)
from slurm_tasks.demo.waldur.shapes import (
    CATEGORY,
    OFFERING_NAME,
    OFFERING_TYPE,
    PLAN_NAME,
    PLUGIN_OPTIONS,
    PROVIDER_NAME,
    slug,
    stamp,
)
from slurm_tasks.demo.waldur.values import Json

# What GEN-B's schema no longer has.
_LOST_KEYS = (
    "native_description",
    "native_name",
    "rating",
    "roles",
    "terms_of_service",
    "terms_of_service_link",
)


def component_row(db: Database, component: OfferingComponent) -> Json:
    """Return a component as the offering shows it."""
    spec = component.spec
    row = {
        "uuid": component.uuid,
        "billing_type": spec.billing_type,
        "type": spec.type,
        "name": spec.name,
        "description": component.description,
        "measured_unit": spec.measured_unit,
        "limit_period": spec.limit_period,
        "limit_amount": spec.limit_amount,
        "article_code": component.article_code,
        "max_value": spec.max_value,
        "min_value": component.min_value,
        "max_available_limit": component.max_available_limit,
        "is_boolean": False,
        "default_limit": None,
        "factor": None,
        "is_builtin": False,
    }
    if db.generation == "b":
        row["unit_factor"] = spec.unit_factor
    return row


def plan_row(db: Database) -> Json:
    """Return the one plan of the offering."""
    types = db.prices
    return {
        "url": f"{db.url}marketplace-plans/{db.plan_uuid}/",
        "uuid": db.plan_uuid,
        "name": PLAN_NAME,
        "description": "",
        "article_code": "",
        "max_amount": None,
        "archived": False,
        "is_active": True,
        "unit_price": "0.0000000000",
        "unit": "month",
        "init_price": 0,
        "switch_price": 0,
        "backend_id": "",
        "organization_groups": [],
        "prices": dict(db.prices),
        "future_prices": dict.fromkeys(types),
        "quotas": dict.fromkeys(types, 0),
        "resources_count": len(db.resources),
        "plan_type": None,
        "minimal_price": 0,
    }


def offering_row(db: Database) -> Json:
    """Return the offering as its provider sees it."""
    no_options: Json = {"order": [], "options": {}}
    shown: Json = {"service_provider_can_create_offering_user": db.switches.shows_offering_users}
    row = {
        "url": f"{db.url}marketplace-provider-offerings/{db.offering_uuid}/",
        "uuid": db.offering_uuid,
        "created": stamp(db.created),
        "name": OFFERING_NAME,
        "slug": slug(OFFERING_NAME),
        "description": "",
        "full_description": "",
        "terms_of_service": "",
        "terms_of_service_link": "",
        "privacy_policy_link": "",
        "endpoints": [],
        "roles": [],
        "customer": f"{db.url}customers/{db.provider_uuid}/",
        "customer_uuid": db.provider_uuid,
        "customer_name": PROVIDER_NAME,
        "project": None,
        "category": f"{db.url}marketplace-categories/{db.category_uuid}/",
        "category_uuid": db.category_uuid,
        "category_title": CATEGORY,
        "rating": None,
        "attributes": {},
        "options": no_options,
        "resource_options": no_options,
        "components": [
            component_row(db, component)
            for component in sorted(db.components.values(), key=lambda one: one.spec.name)
        ],
        "plugin_options": PLUGIN_OPTIONS | (shown if db.generation == "b" else {}),
        "secret_options": shown if db.generation == "a" else {},
        "service_attributes": {},
        "state": db.switches.offering_state,
        "native_name": "",
        "native_description": "",
        "vendor_details": "",
        "getting_started": "",
        "integration_guide": "",
        "thumbnail": None,
        "order_count": len(db.orders),
        "plans": [plan_row(db)],
        "screenshots": [],
        "type": OFFERING_TYPE,
        "shared": True,
        "billable": True,
        "scope": None,
        "files": [],
        "paused_reason": db.switches.paused_reason,
        "datacite_doi": "",
        "citation_count": -1,
        "latitude": None,
        "longitude": None,
        "country": "",
        "backend_id": "",
        "organization_groups": [],
        "image": None,
        "total_customers": len(
            {db.customer_of_resource(resource).uuid for resource in db.resources.values()}
        ),
        "total_cost": 0,
        "total_cost_estimated": 0,
        "backend_metadata": db.offering_metadata,
        "integration_status": [],
        "google_calendar_is_public": None,
        "google_calendar_link": None,
    }
    if db.generation == "b":
        for key in _LOST_KEYS:
            del row[key]
    return row


def public_offering_row(db: Database) -> Json:
    """Return the offering as anybody sees it: without what only its provider may know."""
    row = offering_row(db)
    del row["secret_options"]
    return row | {"url": f"{db.url}marketplace-public-offerings/{db.offering_uuid}/"}


def project_row(db: Database, project_uuid: str) -> Json:
    """Return a project as list_customer_projects shows it."""
    project = db.projects[project_uuid]
    customer = db.customer_of[project_uuid]
    count = sum(1 for resource in db.resources.values() if resource.project_uuid == project_uuid)
    return {
        "url": f"{db.url}projects/{project.uuid}/",
        "uuid": project.uuid,
        "name": project.name,
        "slug": slug(project.name),
        "customer": f"{db.url}customers/{customer.uuid}/",
        "customer_uuid": customer.uuid,
        "customer_name": customer.name,
        "customer_slug": slug(customer.name),
        "customer_native_name": "",
        "customer_abbreviation": "",
        "description": project.name,
        "created": stamp(db.created),
        "type": None,
        "backend_id": "",
        "start_date": None,
        "end_date": None,
        "end_date_requested_by": None,
        "oecd_fos_2007_code": None,
        "oecd_fos_2007_label": None,
        "is_industry": False,
        "image": None,
        "resources_count": count,
        "billing_price_estimate": {"total": 0.0, "current": 0.0, "tax": 0.0, "tax_current": 0.0},
        "marketplace_resource_count": {db.category_uuid: count},
    }


def usage_row(db: Database, usage: ComponentUsage) -> Json:
    """Return the usage of a component."""
    return {
        "uuid": usage.uuid,
        "created": stamp(usage.created),
        "description": usage.description,
        "type": usage.component.spec.type,
        "name": usage.component.spec.name,
        "measured_unit": usage.component.spec.measured_unit,
        "usage": str(usage.usage),
        "date": stamp(usage.date),
        "recurring": usage.recurring,
        **_usage_scope(db, usage),
        "billing_period": usage.billing_period.isoformat(),
        "modified_by": 2,
    }


def user_usage_row(db: Database, usage: UserUsage) -> Json:
    """Return a username's share of a component usage."""
    whole = usage.component_usage
    link = usage.offering_user
    row = {
        "uuid": usage.uuid,
        "user": None if link is None else f"{db.url}marketplace-offering-users/{link.uuid}/",
        "username": usage.username,
        "component_usage": f"{db.url}marketplace-component-usages/{whole.uuid}/",
        "usage": str(usage.usage),
        "measured_unit": whole.component.spec.measured_unit,
        "description": "",
        "created": stamp(usage.created),
        "modified": stamp(usage.modified),
        "backend_id": "",
        **_usage_scope(db, whole),
        "component_type": whole.component.spec.type,
        "date": stamp(whole.date),
    }
    if db.generation == "b":
        row["billing_period"] = whole.billing_period.isoformat()
    return row


def integration_status_row(db: Database, seen: datetime) -> Json:
    """Return the status of a site agent that has called lately."""
    return {
        "status": "Active",
        "last_request_timestamp": stamp(seen),
        "offering": f"{db.url}marketplace-provider-offerings/{db.offering_uuid}/",
        "url": f"{db.url}marketplace-integration-statuses/{db.category_uuid}/",
    }


def _usage_scope(db: Database, usage: ComponentUsage) -> Json:
    resource = usage.resource
    project = db.projects[resource.project_uuid]
    customer = db.customer_of_resource(resource)
    return {
        "resource_name": resource.name,
        "resource_uuid": resource.uuid,
        "offering_name": OFFERING_NAME,
        "offering_uuid": db.offering_uuid,
        "project_name": project.name,
        "project_uuid": project.uuid,
        "customer_name": customer.name,
        "customer_uuid": customer.uuid,
    }
