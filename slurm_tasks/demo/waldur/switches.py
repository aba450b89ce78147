"""What an administrator sets on a server and its offering, beside what its version does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BackendIdRules:
    """An offering's rules for the backend ids of its resources.

    Attributes:
        pattern: a regular expression that the whole id matches.
        unique: whether no two resources may have the same.
    """

    pattern: str = ".*"
    unique: bool = False


@dataclass
class Switches:
    """A server's settings and an offering's options; each works where the version knows it.

    Attributes:
        time_zone: the server's TIME_ZONE; it decides the month of a usage on newer servers.
        order_start_date: ENABLE_ORDER_START_DATE: an approved order waits for its start date.
        enforce_consent: ENFORCE_USER_CONSENT_FOR_OFFERINGS, and the offering has active terms.
        offering_state: the offering's: Active, Paused, Archived or, on newer servers, Unavailable.
        paused_reason: why it is paused.
        shows_offering_users: the option `service_provider_can_create_offering_user`: without it
            the offering has no new users, and the provider sees none.
        periodic_policy: the offering has a periodic usage policy, which sets limits by itself.
        backend_id_rules: the offering's, if it has some.
    """

    time_zone: str = "UTC"
    order_start_date: bool = False
    enforce_consent: bool = False
    offering_state: str = "Active"
    paused_reason: str = ""
    shows_offering_users: bool = True
    periodic_policy: bool = False
    backend_id_rules: BackendIdRules | None = None
