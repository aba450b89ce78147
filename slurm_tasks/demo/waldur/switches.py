"""What an administrator sets on a server and its offering, beside what its version does."""

from dataclasses import dataclass


@dataclass
class Switches:
    """A server's settings and an offering's options.

    Attributes:
        time_zone: the server's TIME_ZONE; it decides the month of a usage on newer servers.
        order_start_date: ENABLE_ORDER_START_DATE: an approved order waits for its start date.
    """

    time_zone: str = "UTC"
    order_start_date: bool = False
