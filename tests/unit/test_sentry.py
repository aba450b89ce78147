"""What reaches Sentry, with a transport that keeps it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import sentry_sdk
import structlog
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from slurm_tasks import observability, sentry, settings_view
from slurm_tasks.errors import CommandError, PermanentError
from slurm_tasks.settings import Service
from slurm_tasks.slurm.commands import ShowTres
from slurm_tasks.slurm.runner import Runner
from slurm_tasks.version import __version__

TOKEN, PASSWORD, QUOTED = "7e5ec2e7" * 5, "hunter/2 secret", "hunter%2F2%20secret"
SETTINGS = {
    "CELERY_BROKER_URL": f"rediss://worker:{QUOTED}@broker.example.com:6380/0",
    "WALDUR_API_TOKEN": TOKEN,
    "SENTRY_DSN": "https://key@sentry.example.com/1",
    "SENTRY_ENVIRONMENT": "cluster-a",
}
FAILED = CommandError(["sacctmgr", "show", "tres"], "exit code 1", 1, "slurmdbd: no route to host")


@dataclass
class Kept:
    """What would have been sent."""

    envelopes: list[Envelope] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it, as it would have gone over the wire."""
        return "\n".join(e.serialize().decode(errors="replace") for e in self.envelopes)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The errors among it."""
        return [dict(event) for e in self.envelopes if (event := e.get_event())]

    def items(self, kind: str) -> list[Any]:
        """The items of a type."""
        found = [item for e in self.envelopes for item in e.items if item.type == kind]
        return [item.payload.json for item in found]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """Give the settings of a service that reports errors."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    return Service()


@pytest.fixture
def kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Start Sentry as a worker does, but keep what it sends (and leave Celery unpatched)."""
    kept = Kept()

    class Keeping(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            kept.envelopes.append(envelope)

    monkeypatch.setattr(sentry, "_told", {})
    chosen = sentry.options(service, settings_view.secrets())
    chosen |= {"transport": Keeping, "integrations": [LoggingIntegration()]}
    sentry_sdk.init(**chosen)
    observability.configure_logging(service)
    structlog.configure(cache_logger_on_first_use=False)  # other tests capture these loggers
    with sentry_sdk.isolation_scope():
        yield kept
    sentry_sdk.get_global_scope().set_client(None)
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


def raised(error: Exception, cause: Exception | None = None) -> None:
    """Report an error that was raised."""
    try:
        raise error from cause
    except type(error) as caught:
        sentry_sdk.capture_exception(caught)


def test_nothing_is_started_without_a_dsn() -> None:
    """SENTRY_DSN is the switch."""
    sentry.start(Service.model_validate({"SENTRY_DSN": None}), frozenset())

    assert not sentry_sdk.is_initialized()


def test_release_and_environment_are_named(kept: Kept) -> None:
    """An operator sees which version failed, and where."""
    raised(ValueError("x"))

    (event,) = kept.events
    assert event["release"] == f"waldur-slurm-tasks@{__version__}"
    assert event["environment"] == "cluster-a"


def as_tag(secret: str) -> None:
    """Have a secret in a tag."""
    sentry_sdk.set_tag("broker", secret)
    raised(ValueError("x"))


def as_extra(secret: str) -> None:
    """Have a secret deep in what a library adds."""
    sentry_sdk.get_isolation_scope().set_extra("x", {secret: {"y": [secret]}})
    raised(ValueError("x"))


def as_breadcrumb(secret: str) -> None:
    """Have a secret in what was logged before."""
    logging.getLogger("kombu").warning("trying %s", secret)
    raised(ValueError("x"))


WAYS: dict[str, Callable[[str], None]] = {
    "message": lambda secret: raised(ValueError(f"Authorization: Token {secret}")),
    "cause": lambda secret: raised(ValueError("x"), OSError(f"redis://:{secret}@broker")),
    "stderr": lambda secret: raised(CommandError(["sacct"], "exit code 1", 1, f"<{secret}>")),
    "log line": lambda secret: structlog.stdlib.get_logger("t").error("bad", header=[secret]),
    "library's log": lambda secret: logging.getLogger("kombu").error("no answer from %s", secret),
    "tag": as_tag,
    "extra": as_extra,
    "breadcrumb": as_breadcrumb,
}


@pytest.mark.parametrize("secret", [TOKEN, PASSWORD, QUOTED], ids=["token", "password", "quoted"])
@pytest.mark.parametrize("way", list(WAYS))
def test_no_secret_leaves(kept: Kept, way: str, secret: str) -> None:
    """Whichever way Waldur's token or the broker's password gets into an event, it is taken out."""
    WAYS[way](secret)

    assert len(kept.events) == 1
    assert secret not in kept.text
    assert sentry.FILTERED in kept.text


def test_what_a_command_said_is_attached(kept: Kept) -> None:
    """An error that comes of a failed command shows its arguments, exit code and stderr."""
    raised(PermanentError("no such TRES"), FAILED)

    (event,) = kept.events
    assert event["contexts"]["slurm_command"] == {
        "argv": ["sacctmgr", "show", "tres"],
        "exit_code": 1,
        "stderr": "slurmdbd: no route to host",
    }


def test_our_log_lines_are_events_by_name(kept: Kept) -> None:
    """An error in the log is grouped by what happened, not by its fields."""
    structlog.stdlib.get_logger("t").error("order_erred", order="0ff1ce")

    (event,) = kept.events
    assert event["logentry"] == {"message": "order_erred"}
    assert event["extra"]["order"] == "0ff1ce"


def test_the_commands_before_an_error_are_its_breadcrumbs(kept: Kept) -> None:
    """What was run before it failed stands beside the event."""
    structlog.stdlib.get_logger("t").info("slurm_command", argv=["sacctmgr"], exit_code=0)
    raised(ValueError("x"))

    (event,) = kept.events
    (crumb,) = event["breadcrumbs"]["values"]
    assert crumb["message"] == "slurm_command"
    assert crumb["data"]["argv"] == ["sacctmgr"]


def test_a_librarys_message_is_told_once(kept: Kept) -> None:
    """A broker that is away for hours is not an event every two seconds."""
    for number in range(3):
        logging.getLogger("celery.beat").error("Trying again in %s seconds", number)

    assert len(kept.events) == 1


def test_each_of_our_lines_is_told(kept: Kept) -> None:
    """Two orders that fail are two events, though the event's name is one."""
    for order in ("0ff1ce", "c0ffee"):
        structlog.stdlib.get_logger("t").error("order_erred", order=order)

    assert [event["extra"]["order"] for event in kept.events] == ["0ff1ce", "c0ffee"]


def test_commands_see_nothing_of_sentry(kept: Kept, tmp_path: Path) -> None:
    """Sentry's integration of the standard library would add variables to their environment."""
    program = tmp_path / "sacctmgr"
    program.write_text("#!/bin/sh\nenv > \"$0.env\"; printf 'Type|Name\\ncpu|\\n'\n")
    program.chmod(0o755)
    Runner(PurePosixPath(tmp_path), 60, (), {"PATH": "/usr/bin:/bin"}).read(ShowTres("lab"))

    assert "SENTRY" not in Path(f"{program}.env").read_text().upper()
    assert kept.events == []


def test_a_cycle_that_ended_well_checks_in(kept: Kept, service: Service) -> None:
    """Its monitor learns the schedule with it, and how late the next may be."""
    sentry.check_in(service, "members")

    (told,) = kept.items("check_in")
    assert (told["monitor_slug"], told["status"]) == ("members", "ok")
    assert told["monitor_config"] == {
        "schedule": {"type": "interval", "value": 5, "unit": "minute"},
        "timezone": "UTC",
        "checkin_margin": 5,
    }


def test_what_has_no_schedule_has_no_monitor(kept: Kept, service: Service) -> None:
    """The components are loaded at a worker's start: none is missed when none comes."""
    sentry.check_in(service, "components")

    assert kept.envelopes == []


def test_json_is_what_is_sent(kept: Kept) -> None:
    """Fields of any type reach Sentry as JSON."""
    structlog.stdlib.get_logger("t").error("odd", path=Path("/x"), names=("a", "b"))

    (event,) = kept.events
    assert json.loads(json.dumps(event["extra"]))["path"] == "/x"
    assert event["extra"]["names"] == ["a", "b"]
