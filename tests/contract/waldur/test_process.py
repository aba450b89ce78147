"""The simulator as a process of its own."""

import json
import signal
import subprocess
import sys

import httpx
import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("generation", ["a", "b"])
def test_process(generation: str, number: signal.Signals) -> None:
    """It says where it is in one line of JSON, serves, and ends on a signal."""
    command = [sys.executable, "-m", "slurm_tasks.demo.waldur", "--generation", generation]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Token {ready['token']}"}
        answer = httpx.get(f"{ready['url']}users/me/", headers=headers)
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
    assert answer.json()["username"] == "provider"
    assert len(ready["offering_uuid"]) == 32
