"""Processes of a running service: their kin, and their ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from slurm_tasks.demo.stack import Stack


def children(pid: int) -> list[int]:
    """Return the pids of a process's children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(child) for child in text.split()]


def kill(stack: Stack, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process and all of its children at once, and wait for its end.

    What those have started in sessions of their own lives on.
    """
    os.killpg(stack.pid(name), number)
    stack.wait_ended(name)


def kill_alone(stack: Stack, name: str) -> None:
    """Kill a process, and none of its children."""
    stack.signal(name, signal.SIGKILL)
    stack.wait_ended(name)
