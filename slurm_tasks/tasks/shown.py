"""What Flower and Celery's log show of a task's arguments: a few words, not nested JSON."""

from collections.abc import Iterable, Mapping
from typing import Any

MANY = 3


def shown(args: Iterable[object] | None, kwargs: Mapping[str, object] | None) -> dict[str, str]:
    """Return Celery's options that name the arguments of a message to people."""
    named = (f"{name}={_words(value)}" for name, value in (kwargs or {}).items())
    return {"argsrepr": ", ".join(map(_words, args or ())), "kwargsrepr": ", ".join(named)}


def _words(argument: object) -> str:
    match argument:
        case {"items": [*items]}:
            return _first(_desired(item) for item in items)
        case {"outcomes": [*outcomes]}:
            return _first(f"{o['account'] or o['resource']}: {o['status']}" for o in outcomes)
        case {"accounts": {**accounts}, "periods": [*periods]}:
            months = ", ".join(period["month"] for period in periods)
            return f"{months} of {_first(map(str, accounts))}"
        case {"allocations": [*allocations]}:
            return _first(allocation["account"] for allocation in allocations)
        case str():
            return argument
        case _:
            return repr(argument)


def _first(texts: Iterable[str]) -> str:
    """Say the first few of many."""
    known = list(texts)
    more = f" and {len(known) - MANY} more" if len(known) > MANY else ""
    return "; ".join(known[:MANY]) + more


def _desired(item: Mapping[str, Any]) -> str:
    parts = [f"{item['intent']} {item['backend_id'] or repr(item['title'])}"]
    if item["limits"]:
        parts.append(",".join(f"{name}={value}" for name, value in item["limits"].items()))
    if item["users"] is not None:
        parts.append(f"users {','.join(item['users']) or 'none'}")
    if item["order"]:
        parts.append(f"order {item['order']}")
    return " ".join(parts)
