"""The JSON of people: users, the members of a team, and the offering's users."""

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import OfferingUser
from slurm_tasks.demo.waldur.shapes import OFFERING_NAME, PROVIDER_NAME, slug, stamp
from slurm_tasks.demo.waldur.values import Customer, Json, Project, Role, User
from slurm_tasks.demo.waldur.versions import Feature

ROLE_NAMES = {
    Role.PROVIDER: ("CUSTOMER.OWNER", "customer"),
    Role.OTHER_PROVIDER: ("CUSTOMER.OWNER", "customer"),
    Role.PROVIDER_MANAGER: ("CUSTOMER.MANAGER", "customer"),
    Role.MANAGER: ("OFFERING.MANAGER", "offering"),
    Role.CUSTOMER: ("CUSTOMER.OWNER", "customer"),
    Role.ADMIN: ("PROJECT.ADMIN", "project"),
    Role.MEMBER: ("PROJECT.MEMBER", "project"),
}


def user_row(db: Database, user: User) -> Json:
    """Return a person as `users/me` does, the token included, as the real server does too."""
    first, _, last = user.full_name.partition(" ")
    return {
        "url": f"{db.url}users/{user.uuid}/",
        "uuid": user.uuid,
        "username": user.username,
        "slug": slug(user.username),
        "full_name": user.full_name,
        "native_name": "",
        "job_title": "",
        "email": user.email,
        "phone_number": "",
        "organization": "",
        "civil_number": None,
        "description": "",
        "is_staff": user.role == Role.STAFF,
        "is_active": True,
        "is_support": False,
        "token": user.token,
        "token_lifetime": None,
        "registration_method": "default",
        "date_joined": stamp(db.created),
        "agreement_date": stamp(db.created),
        "preferred_language": "",
        "permissions": _permissions(db, user),
        "requested_email": None,
        "affiliations": [],
        "first_name": first,
        "last_name": last,
        "identity_provider_name": "Local DB",
        "identity_provider_label": "Local DB",
        "identity_provider_management_url": "",
        "identity_provider_fields": [],
        "image": None,
        "identity_source": "",
    }


def team_row(db: Database, user: User) -> Json:
    """Return a member of a resource's team; a username of null means no offering user."""
    offering_user = db.offering_user_of(user)
    row = {
        "url": f"{db.url}users/{user.uuid}/",
        "uuid": user.uuid,
        "username": user.username,
        "full_name": user.full_name,
        "email": user.email,
        "role": "member",
        "expiration_time": None,
        "offering_user_username": None if offering_user is None else offering_user.username,
    }
    if db.has(Feature.TEAM_ACCOUNT_STATES):
        row["offering_user_state"] = None if offering_user is None else offering_user.state.value
    return row


def resource_role_row(db: Database, user: User) -> Json:
    """Return a person's role on a resource."""
    return {
        "uuid": user.uuid,
        "created": stamp(db.created),
        "expiration_time": None,
        "role_name": "RESOURCE.MEMBER",
        "role_uuid": db.category_uuid,
        "user_email": user.email,
        "user_full_name": user.full_name,
        "user_username": user.username,
        "user_uuid": user.uuid,
        "user_image": None,
        "created_by_full_name": "",
        "created_by_uuid": None,
    }


def offering_user_row(db: Database, offering_user: OfferingUser) -> Json:
    """Return an offering user."""
    user = offering_user.user
    row: Json = {
        "url": f"{db.url}marketplace-offering-users/{offering_user.uuid}/",
        "uuid": offering_user.uuid,
        "user": f"{db.url}users/{user.uuid}/",
        "offering": f"{db.url}marketplace-provider-offerings/{db.offering_uuid}/",
        "username": offering_user.username,
        "offering_uuid": db.offering_uuid,
        "offering_name": OFFERING_NAME,
        "user_uuid": user.uuid,
        "user_username": user.username,
        "user_full_name": user.full_name,
        "created": stamp(offering_user.created),
        "modified": stamp(offering_user.modified),
        "customer_uuid": db.provider_uuid,
        "customer_name": PROVIDER_NAME,
        "is_restricted": offering_user.is_restricted,
    }
    if db.generation == "a":
        return row | {"propagation_date": stamp(offering_user.propagation_date)}
    if db.has(Feature.ACCOUNT_STATES):
        row["state"] = offering_user.state.value
    return row | {
        "user_email": user.email,
        "service_provider_comment": offering_user.service_provider_comment,
        "service_provider_comment_url": offering_user.service_provider_comment_url,
        "has_consent": user.uuid in db.agreed,
        "requires_reconsent": False,
        "has_compliance_checklist": False,
        "consent_data": None,
    }


def _permissions(db: Database, user: User) -> list[Json]:
    if user.role == Role.STAFF:
        return []
    name, scope_type = ROLE_NAMES[user.role]
    return [
        {
            "user_uuid": user.uuid,
            "user_name": user.full_name,
            "user_slug": slug(user.username),
            "created": stamp(db.created),
            "expiration_time": None,
            "created_by_full_name": "",
            "created_by_username": "staff",
            "role_name": name,
            "role_description": "",
            "role_uuid": db.category_uuid,
            "scope_type": scope_type,
            "scope_uuid": scope.uuid,
            "scope_name": scope.name,
            "customer_uuid": customer.uuid,
            "customer_name": customer.name,
        }
        for scope, customer in _scopes(db, user)
    ]


def _scopes(db: Database, user: User) -> list[tuple[Customer | Project, Customer]]:
    """Return where a person has their role, and the customer that it belongs to."""
    provider = Customer(db.provider_uuid, PROVIDER_NAME)
    if user.role in (Role.PROVIDER, Role.PROVIDER_MANAGER):
        return [(provider, provider)]
    if user.role == Role.OTHER_PROVIDER:
        other = Customer(db.other_provider_uuid, "Another provider")
        return [(other, other)]
    if user.role == Role.MANAGER:
        return [(Customer(db.offering_uuid, OFFERING_NAME), provider)]
    if user.role == Role.CUSTOMER:
        return [(customer, customer) for customer in db.customers.values()]
    return [
        (project, db.customer_of[uuid])
        for uuid, project in db.projects.items()
        if user.role == Role.ADMIN or user in db.members[uuid]
    ]
