"""A server that answers as told, and transports that don't wait between tries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from pydantic import SecretStr

from slurm_tasks.settings import Waldur as Settings
from slurm_tasks.waldur.transport import ATTEMPTS, Transport
from tests.support.scripted import Scripted, scripted

TOKEN = "7e5ec2e7" * 5
OFFERING = "0ff1ce" + 26 * "0"


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A server that says what a test tells it to."""
    with scripted() as script:
        yield script


def settings_of(url: str, timeout: float = 5) -> Settings:
    """Return settings for a server without TLS."""
    return Settings(
        api_url=url,
        api_token=SecretStr(TOKEN),
        offering_uuid=OFFERING,
        verify_ssl=False,
        timeout=timeout,
    )


@pytest.fixture
def transport(server: Scripted) -> Iterator[Transport]:
    """A transport to that server."""
    opened = Transport(settings_of(server.url))
    yield opened
    opened.close()


@pytest.fixture
def at_once() -> Iterator[None]:
    """Let reads be repeated without a pause."""
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield
