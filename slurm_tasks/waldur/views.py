"""What we read of Waldur's answers: the few fields that matter, of servers of any age.

Additional fields are ignored, and a shape that makes no sense is an error of the server, not of
the order. A missing field has the value that an older server implies; one that every server has,
and whose absence would take away access or a limit, has none: a broken answer is no empty one.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from slurm_tasks.errors import WaldurError

OFFERING_TYPE = "Marketplace.Slurm"


def _text(value: object) -> object:
    return "" if value is None else value


def _or_none(value: object) -> object:
    return value or None


def _mapping(value: object) -> object:
    return {} if value is None else value


def _sequence(value: object) -> object:
    return () if value is None else value


Text = Annotated[str, BeforeValidator(_text)]
Mapping = Annotated[dict[str, Any], BeforeValidator(_mapping)]


class View(BaseModel):
    """A part of one of Waldur's objects."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


V = TypeVar("V", bound=View)


def parse(view: type[V], body: object) -> V:
    """Read a part of an object that Waldur sent.

    Raises:
        WaldurError: it isn't understood; the message says what is missing or wrong, and where.
    """
    try:
        return view.model_validate(body)
    except ValidationError as error:
        where = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise WaldurError(f"Waldur's {view.__name__} is not understood: {where}") from None


class Order(View):
    """An order: what a customer wants done to a resource."""

    uuid: str
    type: str
    state: str
    offering_uuid: str = ""
    offering_type: Text = ""
    marketplace_resource_uuid: Text = ""
    resource_name: Text = ""
    limits: Mapping
    attributes: Mapping = {}
    error_message: Text = ""
    customer_uuid: Text = ""
    customer_name: Text = ""
    project_uuid: Text = ""
    project_name: Text = ""
    created: datetime | None = None
    modified: datetime | None = None


class Section(View):
    """A part of the report that a customer reads about a resource."""

    header: Text = ""
    body: Text = ""


class Resource(View):
    """A resource of the marketplace: an allocation.

    Attributes:
        paused: None where a server has no such flag; so are the two below.
    """

    uuid: str
    name: Text = ""
    state: str
    backend_id: Text
    limits: Mapping
    current_usages: Mapping = {}
    offering_uuid: Text = ""
    customer_uuid: Text = ""
    customer_name: Text = ""
    project_uuid: Text = ""
    project_name: Text = ""
    modified: datetime | None = None
    resource_uuid: Text = ""
    paused: bool | None = None
    downscaled: bool | None = None
    restrict_member_access: bool | None = None
    report: Annotated[tuple[Section, ...], BeforeValidator(_sequence)] = ()


class TeamMember(View):
    """A person of the project that a resource belongs to."""

    uuid: str
    username: Text = ""
    offering_user_username: str | None
    offering_user_state: str | None = None


class OfferingUser(View):
    """A person's account at this offering.

    Attributes:
        url: names it in other requests.
        state: None on older servers, which have none.
        is_restricted: whether the person's access is suspended; the team has them all the same.
    """

    uuid: str
    url: str
    user_uuid: str
    username: Text = ""
    state: str | None = None
    is_restricted: bool = False

    @property
    def usable(self) -> bool:
        """Whether the account is one that belongs on a cluster."""
        return bool(self.username) and self.state in {None, "OK"}


class ComponentUsage(View):
    """What Waldur has as a resource's usage of one component in one month."""

    uuid: str
    type: str
    usage: Decimal
    resource_uuid: str
    billing_period: str


class UserUsage(View):
    """One user's part of a component usage.

    Attributes:
        user: the URL of the offering user that it is linked to.
    """

    uuid: Text = ""
    user: Text = ""
    username: Text = ""
    usage: Decimal
    component_type: str
    resource_uuid: str
    component_usage: str


class OfferingComponent(View):
    """A component of the offering, as Waldur has it."""

    uuid: str
    type: str
    name: Text = ""
    measured_unit: Text = ""
    billing_type: Text = ""
    limit_period: Annotated[str | None, BeforeValidator(_or_none)] = None
    limit_amount: Decimal | None = None


class Plan(View):
    """A plan of the offering: what its components cost.

    Attributes:
        prices: by component; a component without a price isn't a key.
    """

    uuid: str
    name: Text = ""
    archived: bool = False
    prices: Mapping = {}


_SHOWS_USERS = "service_provider_can_create_offering_user"


class Offering(View):
    """The offering linked to the cluster.

    Attributes:
        secret_options: where an older server has the option of `shows_users`.
        plugin_options: where a newer one has it.
    """

    uuid: str
    name: Text = ""
    type: Text = ""
    state: Text = ""
    customer_uuid: Text = ""
    secret_options: Mapping = {}
    plugin_options: Mapping = {}
    components: tuple[OfferingComponent, ...] = ()
    plans: tuple[Plan, ...] = ()

    @property
    def shows_users(self) -> bool:
        """Whether Waldur shows the offering's users to its provider."""
        options = (self.secret_options, self.plugin_options)
        return any(bool(option.get(_SHOWS_USERS)) for option in options)


class Permission(View):
    """A role of the token's person."""

    role_name: Text = ""
    scope_type: Text = ""
    scope_uuid: Text = ""


class Association(View):
    """An association as an older server mirrors it."""

    uuid: str
    username: str
    allocation: Text = ""
