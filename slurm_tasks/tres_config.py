"""The TRES configuration's file, which may be edited while a worker runs."""

import time

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import ConfigurationError
from slurm_tasks.model import components
from slurm_tasks.model.components import Components
from slurm_tasks.settings import Waldur as Settings

log = structlog.stdlib.get_logger(__name__)

SETTLED = 2.0
"""Seconds since its last change after which a file counts as written: half of one may be valid."""


def read(settings: Settings) -> Components:
    """Read the TRES configuration.

    Raises:
        ConfigurationError: it can't be read, or every problem in it with its line.
    """
    return components.parse(_text(settings), str(settings.tres_config_path))


def _text(settings: Settings) -> str:
    path = settings.tres_config_path
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"SLURM_TRES_CONFIG_PATH: {path} can't be read ({error}); `slurm-tasks components"
            " example` prints a file to start from"
        ) from error


class Current:
    """The TRES configuration in force: the file's, read anew whenever it has changed.

    A file that was broken by an edit doesn't come into force: what was read before stays, and
    the log and a metric tell of it.

    Raises:
        ConfigurationError: the file is broken from the start.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._text = _text(settings)
        self._components = components.parse(self._text, str(settings.tres_config_path))
        self._told: tuple[str, ...] = ()
        metrics.configuration_broken.labels("tres").set(0)

    def read(self) -> Components:
        """Return what the file says now, and let it come into force.

        Raises:
            ConfigurationError: it is broken.
        """
        text = _text(self._settings)
        if text != self._text:
            self._components = components.parse(text, str(self._settings.tres_config_path))
            self._text = text
            log.info("tres_configuration_read", components=sorted(self._components))
        self._told = ()
        metrics.configuration_broken.labels("tres").set(0)
        return self._components

    def get(self) -> Components:
        """Return what is in force: what the file says, unless it is broken or being written."""
        if not self._is_being_written():
            try:
                self.read()
            except ConfigurationError as error:
                self._tell(error.problems)
        return self._components

    def _tell(self, problems: tuple[str, ...]) -> None:
        """Tell of a broken file: the log once, not at every task."""
        metrics.configuration_broken.labels("tres").set(1)
        if problems != self._told:
            log.error("tres_configuration_broken", problems=problems)
        self._told = problems

    def _is_being_written(self) -> bool:
        try:
            age = time.time() - self._settings.tres_config_path.stat().st_mtime
        except OSError:
            return False  # reading it says why
        return 0 <= age < SETTLED
