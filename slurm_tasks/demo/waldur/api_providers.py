"""marketplace-service-providers/: the offering's provider, and who is in its projects."""

from dataclasses import dataclass
from datetime import datetime

from slurm_tasks.demo.waldur import fields
from slurm_tasks.demo.waldur.calls import Answer, Call, Endpoint, listing, page_of, reading
from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.filters import Filter, by_text, by_uuid, since
from slurm_tasks.demo.waldur.refusals import object_missing
from slurm_tasks.demo.waldur.shapes import PROVIDER_NAME, stamp
from slurm_tasks.demo.waldur.shapes_users import ROLE_NAMES
from slurm_tasks.demo.waldur.values import PROVIDER_OWNERS, PROVIDERS, Json, Project, Role, User


@dataclass(frozen=True)
class Membership:
    """A person's role in a project."""

    project: Project
    user: User
    created: datetime

    @property
    def role(self) -> Role:
        """The role: an administrator's is of every project."""
        return Role.ADMIN if self.user.role == Role.ADMIN else Role.MEMBER


_ROLES = {Role.ADMIN: "admin", Role.MEMBER: "member"}


def list_providers(call: Call) -> Answer:
    """Answer the service providers."""
    filters: dict[str, Filter[str]] = {
        "customer_uuid": Filter(lambda _: call.db.provider_uuid, by_uuid)
    }
    visible = [call.db.service_provider_uuid] if call.user.role in PROVIDERS else []
    return page_of(call, visible, _provider_row, filters, {}, fields.SERVICE_PROVIDER)


def list_permissions(call: Call) -> Answer:
    """Answer everybody's roles in projects with resources, to the provider's owner.

    GEN-A ignores fields and filters, this simulator refuses them there.
    """
    if plain_uuid(call.uuid) != call.db.service_provider_uuid:
        raise object_missing("ServiceProvider")
    call.require(*PROVIDER_OWNERS)
    if call.db.generation == "a":
        return page_of(call, _memberships(call.db), _permission_row, {}, {})
    filters: dict[str, Filter[Membership]] = {
        "modified": Filter(lambda one: one.created, since),
        "user": Filter(lambda one: one.user.uuid, by_uuid),
        "role_name": Filter(lambda one: ROLE_NAMES[one.role][0], by_text),
        "scope_uuid": Filter(lambda one: one.project.uuid, by_uuid),
    }
    return page_of(
        call, _memberships(call.db), _permission_row, filters, {}, fields.PROJECT_PERMISSION
    )


def _memberships(db: Database) -> list[Membership]:
    """Return the roles in projects that have resources; nobody's consent is asked for."""
    used = dict.fromkeys(resource.project_uuid for resource in db.resources.values())
    everywhere = [user for user in db.users.values() if user.role == Role.ADMIN]
    return [
        Membership(db.projects[uuid], user, db.created)
        for uuid in used
        for user in dict.fromkeys([*everywhere, *db.members.get(uuid, [])])
    ]


def _provider_row(db: Database, uuid: str) -> Json:
    groups: Json = {"organization_group": None}
    if db.generation == "b":
        groups = {"organization_groups": []}
    return {
        "url": f"{db.url}marketplace-service-providers/{uuid}/",
        "uuid": uuid,
        "created": stamp(db.created),
        "description": "",
        "enable_notifications": True,
        "customer": f"{db.url}customers/{db.provider_uuid}/",
        "customer_name": PROVIDER_NAME,
        "customer_uuid": db.provider_uuid,
        "customer_image": None,
        "customer_abbreviation": "",
        "customer_native_name": "",
        "customer_country": "",
        "image": None,
        **groups,
        "offering_count": 1,
    }


def _permission_row(db: Database, one: Membership) -> Json:
    customer = db.customer_of[one.project.uuid]
    row: Json = {
        "role": _ROLES[one.role],
        "created": stamp(one.created),
        "expiration_time": None,
        "created_by": None,
        "project": f"{db.url}projects/{one.project.uuid}/",
        "project_uuid": one.project.uuid,
        "project_name": one.project.name,
        "project_created": stamp(db.created),
        "project_end_date": None,
        "customer_uuid": customer.uuid,
        "customer_name": customer.name,
        "user": f"{db.url}users/{one.user.uuid}/",
        "user_full_name": one.user.full_name,
        "user_native_name": "",
        "user_username": one.user.username,
        "user_uuid": one.user.uuid,
        "user_email": one.user.email,
    }
    return row if db.generation == "a" else row | {"role_name": ROLE_NAMES[one.role][0]}


_PROVIDERS = "marketplace-service-providers/"

ENDPOINTS: tuple[Endpoint, ...] = (
    listing(_PROVIDERS, get=list_providers),
    reading(_PROVIDERS + "{uuid}/project_permissions/", list_permissions),
)
