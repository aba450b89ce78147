"""A headless Chromium, driven by the few requests of the WebDriver protocol that tests need."""

import base64
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from slurm_tasks.demo.stack import wait_until

PROGRAMS = ("chromium", "chromedriver")
INSTALLER = Path(__file__).parents[1] / "tools" / "install-chromium.sh"
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--window-size=1440,960"),
)
PATIENCE = 60.0


@dataclass(frozen=True)
class Page:
    """What the browser shows.

    Attributes:
        session: the driver, at the browser's session.
    """

    session: httpx.Client

    def until(self, url: str, *patterns: str) -> None:
        """Open a page, again and again, until what a person reads there matches all patterns."""

        def matches() -> bool:
            script = "return document.body ? document.body.innerText : ''"
            text = self._post("execute/sync", script=script, args=[])
            if all(re.search(pattern, text) for pattern in patterns):
                return True
            self._post("url", url=url)
            return False

        # a page has the step's time to fetch what it shows
        wait_until(matches, f"the page shows {', '.join(patterns)}", PATIENCE, step=1.0)

    def picture(self) -> bytes:
        """Return what it looks like, as a PNG."""
        return base64.b64decode(self._value(self.session.get("screenshot")))

    def _post(self, command: str, **body: object) -> Any:  # noqa: ANN401 - JSON is anything
        return self._value(self.session.post(command, json=body))

    def _value(self, response: httpx.Response) -> Any:  # noqa: ANN401 - JSON is anything
        assert response.is_success, response.text
        return response.json()["value"]


def unavailable_reason() -> str | None:
    """Say why there is no Chromium here, after trying to install it; None: there is."""
    if all(map(shutil.which, PROGRAMS)):
        return None
    if os.geteuid() != 0:
        return f"Chromium is missing; as root run {INSTALLER.name}"
    if not shutil.which("apt-get"):
        return "Chromium is missing, and so is apt-get to install it"
    done = subprocess.run([INSTALLER], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else None


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """Run a browser with a new profile in a folder."""
    driver = subprocess.Popen(
        ["chromedriver", "--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    try:
        with httpx.Client(base_url=_address(driver), timeout=PATIENCE) as client:
            arguments = [*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"]
            options = {"binary": shutil.which("chromium"), "args": arguments}
            wanted = {"alwaysMatch": {"goog:chromeOptions": options}}
            made = client.post("session", json={"capabilities": wanted})
            assert made.is_success, made.text
            session = f"session/{made.json()['value']['sessionId']}"
            client.base_url = client.base_url.join(f"/{session}/")
            try:
                yield Page(client)
            finally:
                client.delete(str(client.base_url).rstrip("/"))
    finally:
        os.killpg(driver.pid, signal.SIGTERM)
        driver.communicate()


def _address(driver: "subprocess.Popen[str]") -> str:
    """Read where the driver listens."""
    assert driver.stdout
    for line in driver.stdout:
        if found := re.search(r"started successfully on port (\d+)", line):
            return f"http://127.0.0.1:{found[1]}"
    raise AssertionError("chromedriver did not start")
