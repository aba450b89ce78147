"""What a simulated command answers, and how it refuses what it doesn't know."""

from __future__ import annotations


class Reply:
    """The exit code and the lines of both streams."""

    __slots__ = ("code", "err", "out")

    def __init__(
        self, out: list[str] | None = None, err: list[str] | None = None, code: int = 0
    ) -> None:
        self.out = out or []
        self.err = err or []
        self.code = code

    def texts(self) -> tuple[str, str]:
        """Return stdout and stderr, as they are written."""
        return "".join(f"{line}\n" for line in self.out), "".join(f"{x}\n" for x in self.err)


class UnsupportedError(Exception):
    """The command is none that the service uses: the simulator can't vouch for an answer."""


class HangError(Exception):
    """SLURM would not come back."""


class RefusedError(Exception):
    """SLURM itself refuses; nothing is changed."""

    def __init__(self, *err: str, out: list[str] | None = None) -> None:
        super().__init__("\n".join(err))
        self.reply = Reply(out, list(err), 1)


def nothing(done: str) -> Reply:
    """Return the answer to a command that found nothing to do."""
    return Reply([f" Nothing {done}"], code=1)
