"""Offering users and teams."""

import pytest

from tests.contract.waldur.site import Site

USERS = "marketplace-offering-users/"


def offering_user(site: Site) -> str:
    """Return the path of Alice's offering user, which has no username yet."""
    site.allocated()
    row = site.get(USERS)[0]
    return f"{USERS}{row['uuid']}/"


def state(site: Site, path: str) -> str:
    """Return an offering user's state."""
    value: str = site.get(path)["state"]
    return value


def test_team_follows_membership(site: Site) -> None:
    """The team has the project's current members; the offering user of a leaver stays."""
    resource = site.allocated()
    path = f"marketplace-provider-resources/{resource}/team/"
    assert [row["username"] for row in site.get(path)] == ["alice"]
    site.waldur.remove_member(site.project, site.alice)
    assert site.get(path) == []
    assert len(site.get(USERS)) == 1


def test_usernames_in_the_team(site: Site) -> None:
    """A username is null without an offering user, empty until it is set, then the name."""
    resource = site.allocated()
    bob = site.waldur.add_user("bob")
    site.waldur.add_member(site.project, bob)
    path = f"marketplace-provider-resources/{resource}/team/"
    assert [row["offering_user_username"] for row in site.get(path)] == ["", ""]
    (account,) = site.get(USERS, user_username="bob")
    assert site.provider.delete(f"{USERS}{account['uuid']}/").status_code == 204
    assert [row["offering_user_username"] for row in site.get(path)] == ["", None]
    site.waldur.set_username(bob, "bob01")
    assert [row["offering_user_username"] for row in site.get(path)] == ["", "bob01"]


@pytest.mark.parametrize("username", ["alice01", "Bob Böhm!", ""])
def test_any_username(site: Site, username: str) -> None:
    """Usernames are not checked."""
    path = offering_user(site)
    answer = site.provider.patch(path, json={"username": username})
    assert (answer.status_code, answer.json()["username"]) == (200, username)


def test_second_offering_user(site: Site) -> None:
    """A person is an offering's user once."""
    offering_user(site)
    offering = f"marketplace-provider-offerings/{site.waldur.offering_uuid}/"
    body = {
        "offering": site.waldur.url + offering,
        "user": f"{site.waldur.url}users/{site.alice.uuid}/",
    }
    message = "The fields offering, user must make a unique set."
    assert site.post(USERS, body).json() == {"non_field_errors": [message]}


def test_states_on_new_servers_only(site: Site) -> None:
    """GEN-A shows no state, GEN-B does."""
    row = site.get(offering_user(site))
    assert row.get("state") == {"a": None, "b": "Requested"}[site.waldur.generation]


def test_name_completes_the_request(new: Site) -> None:
    """With a username the offering user is OK."""
    path = offering_user(new)
    new.provider.patch(path, json={"username": "alice01"})
    assert state(new, path) == "OK"


def test_state_actions(new: Site) -> None:
    """The actions lead through validation to deletion."""
    path = offering_user(new)
    seen = []
    for action in (
        "begin_creating",
        "set_pending_additional_validation",
        "set_validation_complete",
        "request_deletion",
        "set_deleting",
        "set_deleted",
    ):
        new.post(f"{path}{action}/").raise_for_status()
        seen.append(state(new, path))
    assert seen == [
        "Creating",
        "Pending additional validation",
        "OK",
        "Requested deletion",
        "Deleting",
        "Deleted",
    ]


def test_refused_action(new: Site) -> None:
    """An action from the wrong state is a 409."""
    assert new.post(f"{offering_user(new)}set_deleted/").status_code == 409


def test_comment_of_a_pending_state(new: Site) -> None:
    """The comment tells the user what to do."""
    path = offering_user(new)
    new.post(f"{path}begin_creating/")
    new.post(f"{path}set_pending_account_linking/", {"comment": "Link it."})
    assert new.get(path)["service_provider_comment"] == "Link it."


def test_filter_by_state(new: Site) -> None:
    """The list can be cut to states."""
    offering_user(new)
    assert new.get(USERS, state="OK") == []
    new.waldur.set_offering_user_state(new.alice, "OK")
    assert len(new.get(USERS, state=["OK", "Requested"])) == 1
