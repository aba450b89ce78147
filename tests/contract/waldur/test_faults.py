"""Each kind of fault, seen by a client."""

import time

import httpx
import pytest

from slurm_tasks.demo.waldur.faults import Kind
from tests.contract.waldur.site import LIMITS, Site

ORDERS = "marketplace-orders/"


def pending(site: Site) -> str:
    """Return an order that waits for the provider."""
    return site.waldur.order_create(site.project, "alloc-one", LIMITS)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_errors(new: Site, status: int) -> None:
    """Errors of the server and of proxies are HTML pages."""
    new.waldur.faults.add(kind="status", status=status)
    answer = new.provider.get(ORDERS)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "text/html; charset=utf-8",
    )


def test_throttling(new: Site) -> None:
    """A 429 says when to come back."""
    new.waldur.faults.add(kind="status", status=429, retry_after=7)
    answer = new.provider.get(ORDERS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize("status", [401, 403])
def test_refused_tokens(new: Site, status: int) -> None:
    """A token that is no longer good is refused in JSON."""
    new.waldur.faults.add(kind="status", status=status)
    answer = new.provider.get(ORDERS)
    assert (answer.status_code, set(answer.json())) == (status, {"detail"})


def test_error_without_effect(new: Site) -> None:
    """A faulty status leaves everything as it was."""
    order = pending(new)
    new.waldur.faults.add(kind="status", status=503)
    new.act(order, "approve_by_provider")
    assert new.waldur.order(order)["state"] == "pending-provider"


def test_delay(new: Site) -> None:
    """A slow answer comes, late."""
    new.waldur.faults.add(kind="delay", seconds=0.05)
    started = time.monotonic()
    assert new.provider.get(ORDERS).status_code == 200
    assert time.monotonic() - started >= 0.05


def test_delay_beyond_the_timeout(new: Site) -> None:
    """A client that does not wait that long sees a timeout."""
    new.waldur.faults.add(kind="delay", seconds=5)
    with pytest.raises(httpx.ReadTimeout):
        new.provider.get(ORDERS, timeout=0.05)


def test_reset(new: Site) -> None:
    """The connection is reset, and nothing has happened."""
    order = pending(new)
    new.waldur.faults.add(kind="reset")
    with pytest.raises(httpx.ReadError, match="reset"):
        new.act(order, "approve_by_provider")
    assert new.waldur.order(order)["state"] == "pending-provider"


def test_answer_lost(new: Site) -> None:
    """The connection is reset, and it has happened all the same."""
    order = pending(new)
    new.waldur.faults.add(kind="answer_lost")
    with pytest.raises(httpx.ReadError, match="reset"):
        new.act(order, "approve_by_provider")
    assert new.waldur.order(order)["state"] == "executing"


def test_truncated(new: Site) -> None:
    """The body ends before the length that was announced."""
    new.waldur.faults.add(kind="truncated")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        new.provider.get("users/me/")


def test_truncated_empty_answer(new: Site) -> None:
    """An answer without a body is cut short too, after its effect."""
    order = pending(new)
    new.waldur.faults.add(kind="truncated")
    with pytest.raises(httpx.RemoteProtocolError):
        new.act(order, "reject_by_provider")
    assert new.waldur.order(order)["state"] == "rejected"


def test_empty(new: Site) -> None:
    """A 200 without a body."""
    new.waldur.faults.add(kind="empty")
    answer = new.provider.get(ORDERS)
    assert (answer.status_code, answer.content) == (200, b"")


def test_redirect(new: Site) -> None:
    """A login page in the way."""
    new.waldur.faults.add(kind="redirect")
    answer = new.provider.get(ORDERS, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "/login/")


@pytest.mark.parametrize(("path", "kind"), [(ORDERS, dict), ("users/me/", list)])
def test_wrong_shape(new: Site, path: str, kind: type) -> None:
    """An object where a list belongs, and the other way round."""
    new.waldur.faults.add(kind="wrong_shape")
    assert isinstance(new.provider.get(path).json(), kind)


def test_aim(new: Site) -> None:
    """A fault strikes its method and path only."""
    order = pending(new)
    new.waldur.faults.add(kind="status", method="POST", path="/approve_by_provider/$", times=None)
    assert new.provider.get(ORDERS).status_code == 200
    assert new.act(order, "set_state_executing").status_code == 200
    assert new.act(order, "approve_by_provider").status_code == 503


def test_number_of_times(new: Site) -> None:
    """A fault strikes as often as it was asked to."""
    new.waldur.faults.add(kind="status", times=2)
    assert [new.provider.get(ORDERS).status_code for _ in range(3)] == [503, 503, 200]


@pytest.mark.parametrize("kind", ["status", "empty"])
def test_clear(new: Site, kind: Kind) -> None:
    """Cleared faults strike no more."""
    new.waldur.faults.add(kind=kind, times=None)
    new.waldur.faults.clear()
    assert new.provider.get(ORDERS).json() == []


def test_recovery_after_a_reset(new: Site) -> None:
    """After a cut connection, the next one is served."""
    new.waldur.faults.add(kind="reset")
    with pytest.raises(httpx.ReadError):
        new.provider.get(ORDERS)
    assert new.provider.get(ORDERS).status_code == 200
