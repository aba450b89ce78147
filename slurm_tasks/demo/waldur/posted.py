"""What each endpoint reads of a posted body, on both generations or on one of them.

GEN-A's fields are those of the recordings, GEN-B's those of the schema.
"""

import re
from collections.abc import Mapping

from slurm_tasks.demo.waldur.bodies import (
    Amount,
    Field,
    ProblemError,
    Read,
    Rows,
    Shape,
    Text,
    Values,
    Whole,
    anything,
    flag,
    mapping,
)
from slurm_tasks.demo.waldur.values import Generation

Shapes = Mapping[Generation, Shape]

BILLING_TYPES = ("fixed", "usage", "limit", "one", "few")
_PERIODS: dict[Generation, tuple[str, ...]] = {
    "a": ("month", "annual", "total"),
    "b": ("month", "quarterly", "annual", "total"),
}
_COMPONENT_TYPE = re.compile(r"[a-zA-Z0-9_\-/:]+")
_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def _maybe(read: Read | Rows, *, null: bool = False) -> Field:
    return Field(read, required=False, null=null)


def _price(value: object) -> float:
    price = Amount(digits=22, places=10)(value)
    if price < 0:
        raise ProblemError(["Ensure this value is greater than or equal to 0."])
    return float(price)


def _component(generation: Generation) -> Shape:
    number = _maybe(Whole(), null=True)
    shape = {
        "type": Field(Text(longest=50, pattern=_COMPONENT_TYPE)),
        "name": Field(Text(longest=150)),
        "description": _maybe(Text(longest=4096, blank=True)),
        "measured_unit": _maybe(Text(longest=30, blank=True)),
        "billing_type": Field(Text(choices=BILLING_TYPES)),
        "limit_period": _maybe(Text(blank=True, choices=_PERIODS[generation]), null=True),
        "limit_amount": number,
        "article_code": _maybe(Text(longest=30, blank=True)),
        "max_value": number,
        "min_value": number,
        "max_available_limit": number,
    }
    return shape if generation == "a" else {**shape, "unit_factor": _maybe(Whole())}


ORDER: Shape = {
    "offering": Field(Text()),
    "project": Field(Text()),
    "plan": _maybe(Text(), null=True),
    "attributes": _maybe(mapping),
    "limits": _maybe(mapping),
    "type": _maybe(Text(choices=("Create",))),
    "accepting_terms_of_service": _maybe(flag),
}
APPROVAL: Shape = {"attributes": _maybe(anything)}
REJECTION: Shapes = {"a": {}, "b": {"provider_rejection_comment": _maybe(Text(blank=True))}}
FAILURE: Shape = {
    "error_message": _maybe(Text(blank=True)),
    "error_traceback": _maybe(Text(blank=True)),
}
ORDER_BACKEND_ID: Shape = {"backend_id": Field(Text(longest=255))}

BACKEND_ID: Shape = {"backend_id": Field(Text(longest=255, blank=True))}
METADATA: Shape = {"backend_metadata": Field(mapping)}
REPORT: Shape = {
    "report": Field(
        Rows(
            {"header": Field(Text()), "body": Field(Text())},
            "Report object should contain at least one section.",
        )
    )
}
RESOURCE: Shape = {
    "name": _maybe(Text(longest=150)),
    "description": _maybe(Text(longest=4096, blank=True)),
    "end_date": _maybe(anything, null=True),
}
# Whole numbers from 0 on, however large.
ORDERED_LIMITS: Shape = {"limits": Field(Values(Whole(least=0, most=10**30)))}
SET_LIMITS: Shape = {"limits": Field(mapping)}
TERMINATION: Shape = {"attributes": _maybe(mapping)}

ALLOCATION_STATE: Shape = {"state": Field(Text(longest=18))}
ASSOCIATION: Shape = {
    "username": Field(Text(longest=128, pattern=_ACCOUNT_NAME, mismatch="Enter a valid username."))
}

_USAGE: Shape = {
    "type": Field(Text()),
    "amount": Field(Amount()),
    "description": _maybe(Text(blank=True)),
    "recurring": _maybe(flag),
}
_USAGES: Shape = {
    "usages": Field(Rows(_USAGE)),
    "resource": _maybe(Text()),
    "plan_period": _maybe(Text()),
}
# By whether the server knows a report's date.
USAGES: Mapping[bool, Shape] = {False: _USAGES, True: {**_USAGES, "date": _maybe(Text())}}
_USER_USAGE: Shape = {
    "username": Field(Text(longest=100)),
    "usage": _maybe(Amount()),
    "user": _maybe(Text()),
}
_DATED_USER_USAGE: Shape = {**_USER_USAGE, "date": _maybe(Text())}
USER_USAGE: Mapping[bool, Shape] = {False: _USER_USAGE, True: _DATED_USER_USAGE}
USER_USAGES: Shape = {"usages": Field(Rows(_DATED_USER_USAGE, "This list may not be empty."))}

_NAMED: Shape = {"username": _maybe(Text(longest=100, blank=True), null=True)}
OFFERING_USER: Shapes = {
    "a": {"user": Field(Text()), "offering": Field(Text()), **_NAMED},
    "b": {
        "user": _maybe(Text()),
        "offering": _maybe(Text()),
        "user_uuid": _maybe(Text()),
        "offering_uuid": _maybe(Text()),
        **_NAMED,
    },
}
USERNAME: Shape = _NAMED
RESTRICTION: Shape = {"is_restricted": Field(flag)}
COMMENT: Shape = {
    "comment": _maybe(Text(blank=True)),
    "comment_url": _maybe(Text(blank=True)),
}
EVERYWHERE: Shape = {"user_uuid": Field(Text()), "username": Field(Text(longest=100))}
MEMBERSHIP: Shape = {
    "user": Field(Text()),
    "role": Field(Text()),
    "expiration_time": _maybe(anything, null=True),
}

COMPONENT: Shapes = {"a": _component("a"), "b": _component("b")}
CHANGED_COMPONENT: Shapes = {
    "a": {"uuid": _maybe(Text()), **COMPONENT["a"]},
    "b": {"uuid": _maybe(Text()), **COMPONENT["b"]},
}
REMOVED_COMPONENT: Shape = {"uuid": _maybe(Text())}
INTEGRATION: Shape = {"secret_options": _maybe(mapping), "plugin_options": _maybe(mapping)}
PAUSE: Shape = {"paused_reason": _maybe(Text(blank=True))}
PRICES: Shape = {"prices": Field(Values(_price))}
