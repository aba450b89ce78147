"""SLURM commands: each a frozen value that builds its arguments and understands its output.

Nothing here runs anything. A command with an empty name can't be built: `modify account set …`
without a name changes every account of the cluster, root included. Reads ask for the header
line and check it, so that an empty listing and a failed one are never the same.
"""

from slurm_tasks.slurm.commands.base import Command, Write
from slurm_tasks.slurm.commands.reads import (
    AccountUsage,
    ShowAccounts,
    ShowConfig,
    ShowDefaults,
    ShowTres,
)
from slurm_tasks.slurm.commands.writes import (
    AddAccount,
    AddUsers,
    CancelJobs,
    MakeHome,
    ModifyAccount,
    RemoveAccount,
    RemoveUsers,
    SetDefault,
    for_change,
)

__all__ = [
    "AccountUsage",
    "AddAccount",
    "AddUsers",
    "CancelJobs",
    "Command",
    "MakeHome",
    "ModifyAccount",
    "RemoveAccount",
    "RemoveUsers",
    "SetDefault",
    "ShowAccounts",
    "ShowConfig",
    "ShowDefaults",
    "ShowTres",
    "Write",
    "for_change",
]
