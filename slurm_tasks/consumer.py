"""The worker's consumer: it refuses what is no task of ours, and lives on.

Celery logs and drops an unknown task and a body that isn't JSON. Of some malformed messages it
dies, and puts them back first: the next start dies of the same one, and everything behind it waits
for ever. Others leave a place of the pool taken for good (both measured with Celery 5.7).
"""

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import consumer
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.message import Message
from vine import promise

from slurm_tasks import metrics

log = structlog.stdlib.get_logger(__name__)


class Consumer(consumer.Consumer):
    """Celery's consumer, which checks messages first and counts those that it refuses."""

    def create_task_handler(self, promise: Any = promise) -> Callable[[Message], None]:  # noqa: ANN401 - vine's
        """Return what takes messages."""
        handle = super().create_task_handler(promise)
        broken_connection = (*self.connection_errors, *self.channel_errors)

        def careful(message: Message) -> None:
            try:
                if not _is_task(message):
                    self.on_unknown_message(None, message)
                    return
                # how long a task may take is ours to say, and a wrong type here takes a place of
                # the pool for good
                message.headers.pop("timelimit", None)
                handle(message)
            except broken_connection:
                raise
            except Exception:
                message.reject()  # type: ignore[no-untyped-call] # the next start must not die of it, too
                raise

        return careful

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a connection that broke: nothing is put back or acknowledged through it.

        kombu would try to, when Celery closes it for the second time and whenever a task ends
        that came by it, and the worker would end (AttributeError; measured with both 5.7).
        """
        if self.task_consumer:
            lost = self.task_consumer.channel
            lost.do_restore = False
            lost.basic_ack = lost.basic_reject = _too_late
        super().on_connection_error_after_connected(exc)

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Refuse a body that isn't JSON."""
        super().on_decode_error(message, exc)
        self._count("content", message)

    def on_invalid_task(self, body: object, message: Message, exc: Exception) -> None:
        """Refuse a task whose content isn't announced as JSON, or whose times are none."""
        super().on_invalid_task(body, message, exc)
        self._count("content" if isinstance(exc, ContentDisallowed) else "malformed", message)

    def on_unknown_message(self, body: object, message: Message) -> None:
        """Refuse what isn't a task."""
        super().on_unknown_message(body, message)
        self._count("malformed", message)

    def on_unknown_task(self, body: object, message: Message, exc: Exception) -> None:
        """Refuse a task that isn't one of ours."""
        super().on_unknown_task(body, message, exc)
        self._count("unknown_task", message)

    def _count(self, reason: str, message: Message) -> None:
        metrics.messages_refused.labels(reason).inc()
        log.warning("message_refused", reason=reason, **message.delivery_info)


def _too_late(delivery_tag: str, **_: object) -> None:
    log.info("message_not_acknowledged", reason="its connection broke", delivery_tag=delivery_tag)


def _is_task(message: Message) -> bool:
    """Tell whether a message is built as a task's is, by Celery's current protocol."""
    match message.headers:
        case {"task": str(), "id": str(), **others}:
            times = (others.get(name) for name in ("eta", "expires"))
            if not all(time is None or isinstance(time, str) for time in times):
                return False
        case _:
            return False
    try:
        body = message.payload
    except (ContentDisallowed, DecodeError):
        return True  # and refused for that
    match body:
        case [list(), dict(), dict()]:
            return True
        case _:
            return False
