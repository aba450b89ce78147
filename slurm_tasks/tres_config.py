"""The TRES configuration's file."""

from slurm_tasks.errors import ConfigurationError
from slurm_tasks.model import components
from slurm_tasks.model.components import Components
from slurm_tasks.settings import Waldur as Settings


def read(settings: Settings) -> Components:
    """Read the TRES configuration.

    Raises:
        ConfigurationError: it can't be read, or every problem in it with its line.
    """
    path = settings.tres_config_path
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"SLURM_TRES_CONFIG_PATH: {path} can't be read ({error}); `slurm-tasks components"
            " example` prints a file to start from"
        ) from error
    return components.parse(text, str(path))
