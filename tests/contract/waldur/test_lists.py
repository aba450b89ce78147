"""Lists: pages, headers, filters, order and fields; and the log of requests."""

from datetime import UTC, datetime

import httpx
import pytest

from slurm_tasks.demo.waldur import Request, Role
from tests.contract.waldur.replay import exchanges
from tests.contract.waldur.site import LIMITS, Site

ORDERS = "marketplace-orders/"


def place(site: Site, count: int) -> list[str]:
    """Place orders, a minute apart."""
    orders = []
    for minute in range(count):
        site.waldur.set_now(datetime(2026, 11, 22, 11, minute, tzinfo=UTC))
        orders.append(site.waldur.order_create(site.project, f"alloc-{minute}", LIMITS))
    return orders


def test_default_page(site: Site) -> None:
    """A page has ten rows unless asked otherwise; the headers tell how many there are."""
    place(site, 12)
    answer = site.provider.get(ORDERS)
    assert (len(answer.json()), answer.headers["X-Result-Count"]) == (10, "12")
    assert answer.links["next"]["url"] == f"{site.waldur.url}marketplace-orders/?page=2"


def test_all_pages(site: Site) -> None:
    """Following `next` gives every order once, oldest first."""
    orders = place(site, 7)
    url, found = f"{ORDERS}?page_size=3", []
    while url:
        answer = site.provider.get(url)
        found += [row["uuid"] for row in answer.json()]
        url = answer.links.get("next", {}).get("url", "")
    assert found == orders


@pytest.mark.parametrize("number", [6, 11, 12, 13])
def test_recorded_links(old: Site, number: int) -> None:
    """The Link header is the recorded one: relations, order and sorting of parameters."""
    old.waldur.strict = False  # one of them has an unknown filter
    exchange = exchanges("errors-filters-pagination")[number]
    recorded = exchange.response_headers["link"]
    for _ in range(int(exchange.response_headers["x-result-count"])):
        order = old.waldur.order_create(old.project, "alloc-one", LIMITS)
        old.act(order, "set_state_executing")
        old.act(order, "set_state_done")
    offering = "3d2bb6241d4b4c988ecb89dac47b11d8"
    query = [
        (name, value.replace(offering, old.waldur.offering_uuid))
        for name, value in exchange.pairs()
    ]
    link = old.provider.get(ORDERS, params=tuple(query)).headers["Link"]
    link = link.replace(old.waldur.url, "https://waldur.example.com/api/")
    assert link.replace(old.waldur.offering_uuid, offering) == recorded


def test_page_past_the_end(site: Site) -> None:
    """A page that does not exist is a 404 in JSON."""
    answer = site.provider.get(ORDERS, params={"page": 2})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid page."})


def test_page_size_is_clamped(site: Site) -> None:
    """More than 300 rows do not fit on a page."""
    place(site, 3)
    for number in range(299):
        site.waldur.order_create(site.project, f"more-{number}", LIMITS)
    assert len(site.get(ORDERS, page_size=1000)) == 300


def test_head_counts(site: Site) -> None:
    """HEAD gives the count alone."""
    place(site, 2)
    answer = site.provider.head(ORDERS)
    assert (answer.headers["X-Result-Count"], answer.content) == ("2", b"")


def test_states_are_joined(site: Site) -> None:
    """A repeated filter means any of its values."""
    first, second, _ = place(site, 3)
    site.approve(first)
    site.act(second, "reject_by_provider")
    rows = site.get(ORDERS, state=["executing", "rejected"], field=["uuid"])
    assert rows == [{"uuid": first}, {"uuid": second}]


def test_modified_since(site: Site) -> None:
    """`modified` keeps what was changed since then."""
    orders = place(site, 3)
    rows = site.get(ORDERS, modified="2026-11-22T11:01:00Z")
    assert [row["uuid"] for row in rows] == orders[1:]


def test_orders_of_a_resource(site: Site) -> None:
    """`resource_uuid` is that of the marketplace resource, dashed or not."""
    order, _ = place(site, 2)
    plain = site.resource_of(order)
    dashed = f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:]}"
    for uuid in (plain, dashed):
        assert [row["uuid"] for row in site.get(ORDERS, resource_uuid=uuid)] == [order]


def test_newest_first(site: Site) -> None:
    """`o` orders the list, a minus reverses it."""
    orders = place(site, 3)
    rows = site.get(ORDERS, o="-created")
    assert [row["uuid"] for row in rows] == orders[::-1]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (
            {"state": "bogus"},
            {"state": ["Select a valid choice. bogus is not one of the available choices."]},
        ),
        ({"offering_uuid": "xyz"}, {"offering_uuid": ["Enter a valid UUID."]}),
    ],
)
def test_bad_filters(site: Site, query: dict[str, str], body: dict[str, list[str]]) -> None:
    """A filter that cannot be read is a 400, on an empty list too."""
    answer = site.provider.get(ORDERS, params=query)
    assert (answer.status_code, answer.json()) == (400, body)


def test_other_offering(site: Site) -> None:
    """An offering that does not exist has no orders."""
    place(site, 1)
    assert site.get(ORDERS, offering_uuid="0" * 32) == []


def test_resources_by_backend_id(site: Site) -> None:
    """Resources are found by their backend id."""
    resource = site.allocated()
    site.waldur.set_resource(resource, backend_id="hpc_1")
    rows = site.get("marketplace-provider-resources/", backend_id="hpc_1", field="uuid")
    assert rows == [{"uuid": resource}]


def test_provider_is_no_consumer(site: Site) -> None:
    """The consumer's list is empty for the provider, and the provider's for a consumer."""
    site.allocated()
    assert site.get("marketplace-resources/") == []
    with site.client_of(Role.CUSTOMER) as owner:
        assert owner.get("marketplace-provider-resources/").json() == []


def test_missing_slash(site: Site) -> None:
    """Without the trailing slash a POST is redirected, and arrives as a GET: nothing happens."""
    order = place(site, 1)[0]
    path = f"marketplace-orders/{order}/approve_by_provider"
    answer = site.provider.post(path, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"].endswith("/")) == (301, True)
    assert site.waldur.order(order)["state"] == "pending-provider"


def test_unknown_route_and_unknown_object(site: Site) -> None:
    """A missing route is an HTML page, a missing object is JSON."""
    route = site.provider.get("no-such-thing/")
    missing = site.provider.get(f"marketplace-orders/{'0' * 32}/")
    assert (route.status_code, missing.status_code) == (404, 404)
    assert route.headers["content-type"].startswith("text/html")
    assert missing.json() == {"detail": "No Order matches the given query."}


def test_log(site: Site) -> None:
    """Every request is logged in order; `posts` keeps those that could change something."""
    order = place(site, 1)[0]
    site.get(ORDERS, state="executing")
    site.act(order, "set_state_erred", {"error_message": "no", "error_traceback": ""})
    read, written = site.waldur.requests
    assert read == Request("GET", "/api/marketplace-orders/", (("state", "executing"),), 200)
    assert written.body == {"error_message": "no", "error_traceback": ""}
    assert site.waldur.posts() == [written]


def test_log_of_a_lost_answer(site: Site) -> None:
    """A request that got no answer is logged with status 0."""
    order = place(site, 1)[0]
    site.waldur.faults.add(kind="answer_lost")
    with pytest.raises(httpx.ReadError):
        site.act(order, "approve_by_provider")
    assert [entry.status for entry in site.waldur.posts()] == [0]


def test_log_can_be_cleared(site: Site) -> None:
    """The log starts anew after it was cleared."""
    site.get(ORDERS)
    site.waldur.requests.clear()
    site.get("users/me/")
    assert [entry.path for entry in site.waldur.requests] == ["/api/users/me/"]


def test_order_in_progress_of_older_servers(old: Site) -> None:
    """GEN-A answers it for one resource and all of its fields only, as it does `creation_order`."""
    resource = old.allocated()
    order = old.waldur.order_terminate(resource)
    path = f"marketplace-provider-resources/{resource}/"
    fields = {"field": ["uuid", "order_in_progress"]}
    (listed,) = old.get("marketplace-provider-resources/")
    assert "order_in_progress" not in listed
    assert "creation_order" not in listed
    assert old.get("marketplace-provider-resources/", **fields) == [{"uuid": resource}]
    assert old.get(path, **fields) == {"uuid": resource}
    assert old.get(path)["order_in_progress"]["uuid"] == order


def test_order_in_progress_of_newer_servers(new: Site) -> None:
    """GEN-B answers it everywhere."""
    resource = new.allocated()
    order = new.waldur.order_terminate(resource)
    fields = {"field": ["uuid", "order_in_progress"]}
    (listed,) = new.get("marketplace-provider-resources/", **fields)
    assert listed["order_in_progress"]["uuid"] == order
