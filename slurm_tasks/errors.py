"""What can go wrong, sorted by who has to act: time, the order's customer, or the operator."""

from collections.abc import Sequence
from http import HTTPStatus


class SlurmTasksError(Exception):
    """Every error that this service raises on purpose."""


class TransientError(SlurmTasksError):
    """It may work later: network, 429, 5xx, a daemon that is away, a timeout, a held lock.

    The order keeps its state in Waldur and is tried again, however long it takes.
    """


class PermanentError(SlurmTasksError):
    """This order can't be carried out; the message is for its customer to read."""


class ForeignAccountError(PermanentError):
    """The account that is named isn't this allocation's: it is left alone."""


class InputError(SlurmTasksError):
    """What a person or a message asks for can't be: an argument is none of its kind."""


class ConfigurationError(SlurmTasksError):
    """The service can't run as it is configured.

    Attributes:
        problems: every problem that was found, each a sentence that says what to do.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ParseError(TransientError):
    """SLURM printed something that is not understood; it is never taken for zero or for nothing.

    Transient, because the order is not at fault and must not be marked erred for it.
    """


class ServerLateError(TransientError):
    """Waldur hasn't done its own part of an order yet, which mostly takes a moment."""


class OrderStuckError(TransientError):
    """An order can't go on until a person mends something; it is tried again less and less often.

    Args:
        message: why, and what helps.
        kind: the order's type.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class FailedReadError(TransientError):
    """SLURM answered, and the answer can't be right or isn't all of it: it is asked again later."""


class LockHeldError(TransientError):
    """Another process writes to this cluster at the moment."""


class GuardError(TransientError):
    """A plan would remove too much, or this looks like the wrong cluster: an operator decides."""


class CommandError(TransientError):
    """A SLURM command failed or could not be run.

    Attributes:
        argv: the command as the head node ran it.
        exit_code: its exit code; None when it did not end by itself.
        stderr: what it said, shortened.
    """

    def __init__(
        self, argv: Sequence[str], reason: str, exit_code: int | None = None, stderr: str = ""
    ) -> None:
        self.argv, self.exit_code, self.stderr = tuple(argv), exit_code, stderr.strip()[:2000]
        text = f"{' '.join(self.argv)}: {reason}"
        super().__init__(f"{text}: {self.stderr}" if self.stderr else text)


class JobsActiveError(CommandError):
    """SLURM refuses a removal while jobs are pending or running: cancel them and come back."""


class AccessDeniedError(CommandError):
    """The account that runs the worker is not a SLURM administrator."""


class WaldurError(TransientError):
    """Waldur is away or answered with something that is not understood."""


class WaldurRefusedError(SlurmTasksError):
    """Waldur understood the request and refused it (4xx).

    Attributes:
        status: the HTTP status.
        messages: the sentences of its answer, each after the field that it is about.
        html: whether it answered with a page for people: a proxy, or Django without a route.
        route_missing: the server has no such endpoint (an older or newer generation).
    """

    def __init__(
        self, request: str, status: int, messages: Sequence[str], *, html: bool = False
    ) -> None:
        self.status, self.messages, self.html = status, tuple(messages), html
        self.route_missing = status == HTTPStatus.NOT_FOUND and html
        said = "; ".join(messages) or "(empty)"
        super().__init__(f"{request}: Waldur answered {status}: {said}")
