"""Logs: one line per event with its fields, and never a secret."""

import logging
import logging.config
import sys
from typing import Any

import structlog

from slurm_tasks.settings import Service


def configure_logging(service: Service) -> None:
    """Send our events and the libraries' messages to stderr, for people or as JSON."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    as_json = service.log_format == "json"
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    renderer: Any = structlog.processors.JSONRenderer() if as_json else console
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(service.log_level)
    for noisy in ("httpx", "httpcore", "stamina"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
