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
    """SLURM itself refuses; nothing is changed, even where the exit code is 0."""

    def __init__(self, *err: str, code: int = 1) -> None:
        super().__init__("\n".join(err))
        self.reply = Reply(err=list(err), code=code)


def unmodified(*, old: bool) -> Reply:
    """Return the answer to a `modify` that found nothing to do."""
    if old:
        return nothing("modified")
    raise RefusedError(
        "sacctmgr: error: Request didn't affect anything",
        " Error with request: Data has not changed since time specified",
    )


def nothing(done: str) -> Reply:
    """Return the answer to a command that found nothing to do."""
    return Reply([f" Nothing {done}"], code=1)
