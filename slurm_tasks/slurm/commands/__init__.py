"""SLURM commands: each a frozen value that builds its arguments and understands its output.

Nothing here runs anything. A command with an empty name can't be built: `modify account set …`
without a name changes every account of the cluster, root included. Reads ask for the header
line and check it, so that an empty listing and a failed one are never the same.
"""

from slurm_tasks.slurm.commands.accounting import (
    FindJobs,
    ShowAccounting,
    ShowLevel,
    ShowLineage,
    ShowStatistics,
    ShowUsed,
    WhoAmI,
)
from slurm_tasks.slurm.commands.base import Command, Write
from slurm_tasks.slurm.commands.reads import (
    ShowAccounts,
    ShowAssociations,
    ShowConfig,
    ShowDefaults,
    ShowQos,
    ShowTres,
)
from slurm_tasks.slurm.commands.unix import FindPath, MakeHome, ResolveUsers, UnixUsers
from slurm_tasks.slurm.commands.usage import AccountUsage, RanBy
from slurm_tasks.slurm.commands.writes import (
    AddAccount,
    AddUsers,
    CancelJobs,
    ModifyAccount,
    RemoveAccount,
    RemoveCoordinators,
    RemoveUsers,
    SetDefault,
    SetUsersBlocked,
    for_change,
)

__all__ = [
    "AccountUsage",
    "AddAccount",
    "AddUsers",
    "CancelJobs",
    "Command",
    "FindJobs",
    "FindPath",
    "MakeHome",
    "ModifyAccount",
    "RanBy",
    "RemoveAccount",
    "RemoveCoordinators",
    "RemoveUsers",
    "ResolveUsers",
    "SetDefault",
    "SetUsersBlocked",
    "ShowAccounting",
    "ShowAccounts",
    "ShowAssociations",
    "ShowConfig",
    "ShowDefaults",
    "ShowLevel",
    "ShowLineage",
    "ShowQos",
    "ShowStatistics",
    "ShowTres",
    "ShowUsed",
    "UnixUsers",
    "WhoAmI",
    "Write",
    "for_change",
]
