"""The transport: what is repeated, what is not, and what an answer means."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from slurm_tasks.errors import TransientError, WaldurError, WaldurRefusedError
from slurm_tasks.waldur.transport import PAGE_SIZE, Transport
from tests.integration.waldur.conftest import TOKEN, settings_of
from tests.support import meter
from tests.support.scripted import HTML, JSON, Answer, Scripted

OK = Answer(body='{"uuid": "1"}')
PAGE = Answer(502, "<html><title>Bad Gateway</title></html>", HTML)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_hiccups(server: Scripted, transport: Transport, status: int) -> None:
    """A read that meets a proxy's hiccup is repeated, and succeeds."""
    server.say([Answer(status), Answer(status), OK])
    assert transport.get("users/me/") == {"uuid": "1"}
    assert server.asked == 3 * ["GET /api/users/me/"]


@pytest.mark.usefixtures("at_once")
def test_repeated_so_often(server: Scripted, transport: Transport) -> None:
    """A read is given up after four tries."""
    server.say([PAGE])
    with pytest.raises(WaldurError, match="502: an HTML page: Bad Gateway"):
        transport.get("users/me/")
    assert len(server.asked) == 4


def test_retry_after(server: Scripted, transport: Transport) -> None:
    """A server that says when to come back is asked again then."""
    server.say([Answer(429, headers={"Retry-After": "1"}), OK])
    began = time.monotonic()
    transport.get("users/me/")
    assert 1 <= time.monotonic() - began < 5


def test_retry_after_a_long_time(server: Scripted, transport: Transport) -> None:
    """A server that says to come back in an hour is left to the schedule at once."""
    server.say([Answer(503, headers={"Retry-After": "3600"}), OK])
    began = time.monotonic()
    with pytest.raises(WaldurError, match="503"):
        transport.get("users/me/")
    assert (len(server.asked), time.monotonic() - began < 5) == (1, True)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("value", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "²", ""])
def test_unreadable_retry_after(server: Scripted, transport: Transport, value: str) -> None:
    """A Retry-After that is no number of seconds counts as none."""
    server.say([Answer(503, headers={"Retry-After": value}), OK])
    assert transport.get("users/me/") == {"uuid": "1"}


@pytest.mark.usefixtures("at_once")
def test_server_errors(server: Scripted, transport: Transport) -> None:
    """A server's own 500 is an error of its, passes, and is not hammered on."""
    server.say([Answer(500, "<title>Server Error (500)</title>", HTML)])
    with pytest.raises(WaldurError, match="Server Error"):
        transport.get("users/me/")
    assert len(server.asked) == 1


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_posts_are_never_repeated(server: Scripted, transport: Transport, status: int) -> None:
    """A write is sent once, whatever the answer: its effect may have happened."""
    server.say([Answer(status), OK])
    with pytest.raises(WaldurError):
        transport.post("marketplace-orders/1/set_state_done/")
    assert len(server.asked) == 1


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get", "post"])
def test_redirects(server: Scripted, transport: Transport, method: str, status: int) -> None:
    """A redirect is an error that says what to correct; following it turned a POST into a GET."""
    server.say([Answer(status, headers={"Location": "https://elsewhere/"}), OK])
    call: Callable[[str], object] = getattr(transport, method)
    with pytest.raises(WaldurError, match=r"redirects to https://elsewhere/.*WALDUR_API_URL"):
        call("marketplace-orders/")
    assert len(server.asked) == 1


UNREADABLE = {
    "empty": Answer(),
    "html": Answer(body="<html>login</html>", kind=HTML),
    "half": Answer(body='{"uuid": "1'),
    "not utf-8": Answer(body='{"uuid": "\udcff"}'),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_not_json(server: Scripted, transport: Transport, name: str) -> None:
    """A success whose body isn't JSON is no success."""
    server.say([UNREADABLE[name]])
    with pytest.raises(WaldurError, match="not JSON"):
        transport.get("users/me/")


@pytest.mark.usefixtures("at_once")
def test_truncated(server: Scripted, transport: Transport) -> None:
    """An answer that ends too early is an error; a read is repeated, a write is not."""
    short = Answer(body='{"uuid":', length=100, headers={"Connection": "close"})
    server.say([short, OK])
    assert transport.get("users/me/") == {"uuid": "1"}
    server.say([short, OK])
    with pytest.raises(WaldurError):
        transport.post("marketplace-orders/1/approve_by_provider/")
    assert len(server.asked) == 3


def test_object_for_a_list(server: Scripted, transport: Transport) -> None:
    """An object where a list belongs is an error, not a list of its keys."""
    server.say([OK])
    with pytest.raises(WaldurError, match="expected a list, got dict"):
        list(transport.pages("marketplace-orders/"))


def test_empty_success_of_a_post(server: Scripted, transport: Transport) -> None:
    """Many of Waldur's writes answer nothing; that is a success."""
    server.say([Answer(201)])
    assert transport.post("marketplace-component-usages/set_usage/", {"a": 1}) is None


SENTENCES = [
    ({"state": ["Bad state.", "Twice."]}, ["state: Bad state.", "state: Twice."]),
    ({"non_field_errors": ["No."]}, ["No."]),
    (["Total amount exceeds limit."], ["Total amount exceeds limit."]),
    ({"detail": "Not found."}, ["Not found."]),
    ({"details": "UUID was not provided."}, ["UUID was not provided."]),
    ({"usages": [{"amount": ["Too long."]}]}, ["amount: Too long."]),
    ("No.", ["No."]),
    (None, ["None"]),
]


@pytest.mark.parametrize(("body", "sentences"), SENTENCES)
def test_refusals(
    server: Scripted, transport: Transport, body: object, sentences: list[str]
) -> None:
    """A refusal carries its sentences, whichever of Waldur's shapes they come in."""
    server.say([Answer(400, json.dumps(body))])
    with pytest.raises(WaldurRefusedError) as refused:
        transport.post("marketplace-orders/")
    assert (refused.value.status, list(refused.value.messages)) == (400, sentences)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(400), "POST x/: Waldur answered 400: (empty)"),
        (Answer(409, "plain text", "text/plain"), "POST x/: Waldur answered 409: plain text"),
        (Answer(400, '{"broken'), 'POST x/: Waldur answered 400: {"broken'),
    ],
)
def test_refusals_without_json(
    server: Scripted, transport: Transport, answer: Answer, said: str
) -> None:
    """A refusal without JSON is still one, with what it says."""
    server.say([answer])
    with pytest.raises(WaldurRefusedError) as refused:
        transport.post("x/")
    assert str(refused.value) == said


def test_endless_refusal(server: Scripted, transport: Transport) -> None:
    """Of a refusal with a thousand sentences the first few are kept."""
    server.say([Answer(400, json.dumps([1000 * "x"] * 1000))])
    with pytest.raises(WaldurRefusedError) as refused:
        transport.post("x/")
    assert len(str(refused.value)) < 6000


@pytest.mark.parametrize(
    ("kind", "body", "missing"),
    [(HTML, "<title>Not Found</title>", True), (JSON, '{"detail": "No Order matches"}', False)],
)
def test_route_missing(
    server: Scripted, transport: Transport, kind: str, body: str, missing: bool
) -> None:  # fmt: skip
    """A missing endpoint answers HTML, a missing object JSON."""
    server.say([Answer(404, body, kind)])
    with pytest.raises(WaldurRefusedError) as refused:
        transport.get("x/")
    assert refused.value.route_missing is missing


def test_wrong_token(server: Scripted, transport: Transport) -> None:
    """A token that isn't accepted is the operator's to mend, so it passes for everything else."""
    server.say([Answer(401, '{"detail": "Invalid token."}')])
    with pytest.raises(WaldurError, match=r"Invalid token\.. Check WALDUR_API_TOKEN"):
        transport.post("x/")


def test_missing_rights(server: Scripted, transport: Transport) -> None:
    """A right that is missing is a refusal of that request."""
    server.say([Answer(403, '{"detail": "You do not have permission."}')])
    with pytest.raises(WaldurRefusedError, match="403: You do not have permission"):
        transport.get("x/")


def test_pages(server: Scripted, transport: Transport) -> None:
    """A list is read over all of its pages, the largest that the server gives."""
    following = {"Link": '<http://x/?page=2>; rel="next", <http://x/?page=2>; rel="last"'}
    server.say([Answer(body="[1, 2]", headers=following), Answer(body="[3]")])
    assert list(transport.pages("x/", [("o", "created")])) == [1, 2, 3]
    assert server.asked == [f"GET /api/x/?o=created&page={n}&page_size={PAGE_SIZE}" for n in (1, 2)]


def test_page_that_vanished(server: Scripted, transport: Transport) -> None:
    """A page that is no more when it is asked for is the end of the list."""
    following = {"Link": '<http://x/?page=2>; rel="next"'}
    gone = Answer(404, '{"detail": "Invalid page."}')
    server.say([Answer(body="[1]", headers=following), gone])
    assert list(transport.pages("x/")) == [1]


def test_list_that_is_not_there(server: Scripted, transport: Transport) -> None:
    """A list whose first page isn't found is an error, not an empty list."""
    server.say([Answer(404, '{"detail": "Not found."}')])
    with pytest.raises(WaldurRefusedError, match="404"):
        list(transport.pages("x/"))


def test_headers(server: Scripted, transport: Transport) -> None:
    """Requests carry the token as Waldur wants it, and say who asks."""
    transport.get("users/me/")
    (headers,) = server.headers
    assert headers["Authorization"] == f"Token {TOKEN}"
    assert headers["User-Agent"].startswith("waldur-slurm-tasks/")


@pytest.mark.usefixtures("at_once")
def test_nobody_there() -> None:
    """A connection that is refused passes."""
    transport = Transport(settings_of("http://127.0.0.1:1/api/"))
    with pytest.raises(TransientError, match="ConnectError"):
        transport.get("x/")
    transport.close()


def failures(server: Scripted) -> list[Answer]:
    """Return an answer of each kind that is an error, as a server writes it that repeats a lot."""
    echo = json.dumps({"detail": f"no: {TOKEN}", "headers": ["x" * 480 + TOKEN]})
    html = Answer(502, f"<title>Bad {TOKEN}</title>", HTML)
    found = Answer(302, headers={"Location": f"{server.url}?token={TOKEN}"})
    return [*(Answer(n, echo) for n in (400, 401, 403, 404, 409, 429, 500)), html, found, Answer()]


@pytest.mark.usefixtures("at_once")
def test_token_is_never_told(
    server: Scripted, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    """The token is in no message, no traceback, no log line and no representation."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "httpcore")  # as the service has it; it tells all headers
    told = [repr(transport), repr(settings_of(server.url)), str(vars(transport))]
    with capture_logs() as logs:
        for answer in failures(server):
            server.say([answer])
            with pytest.raises((WaldurError, WaldurRefusedError)) as caught:
                transport.get("users/me/")
            told += traceback.format_exception(caught.value)
    told += [caplog.text, str(logs)]
    assert len(server.asked) >= 10
    assert all(TOKEN not in text for text in told)


def test_bodies_are_never_logged(
    server: Scripted, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer to `users/me` holds a token, and is in no log line."""
    caplog.set_level(logging.DEBUG)
    server.say([Answer(body=json.dumps({"token": "other-people's"}))])
    with capture_logs() as logs:
        transport.get("users/me/")
    assert "other-people" not in caplog.text + str(logs)
    assert [entry["path"] for entry in logs] == ["users/me/"]


@pytest.mark.parametrize(
    ("answers", "status"), [([Answer(500)], "500"), ([Answer(404)], "404"), ([Answer(301)], "301")]
)
def test_failures_are_counted(
    server: Scripted, transport: Transport, answers: list[Answer], status: str
) -> None:
    """By endpoint and status, whichever object it was about: uuids would be series without end."""
    meter.reset()
    server.say(answers)
    for uuid in (32 * "a", 32 * "b"):
        with pytest.raises((WaldurError, WaldurRefusedError)):
            transport.post(f"marketplace-orders/{uuid}/set_state_done/")

    labels = {"method": "POST", "endpoint": "marketplace-orders/{uuid}/set_state_done/"}
    assert meter.read("waldur_request_failures_total", **labels, status=status) == 2
    assert meter.read("waldur_request_duration_seconds_count", **labels) == 2


def test_no_answer_is_counted() -> None:
    """A server that isn't there has no status."""
    meter.reset()
    gone = Transport(settings_of("http://127.0.0.1:1/api/"))
    with pytest.raises(WaldurError):
        gone.post("users/me/")
    gone.close()

    labels = {"method": "POST", "endpoint": "users/me/", "status": "none"}
    assert meter.read("waldur_request_failures_total", **labels) == 1
