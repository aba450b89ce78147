"""What a site decides about its accounts."""

from dataclasses import dataclass

from slurm_tasks.model.names import Prefixes


@dataclass(frozen=True)
class QosRules:
    """The QoS that accounts are switched to and fro by Waldur's flags.

    Attributes:
        paused: of a paused resource; None: its account accepts no jobs instead.
        downscaled: of a downscaled resource; None: nothing is done about the flag.
        usual: of any other; None: the one inherited from the parent.
        paused_closes: whether that of paused resources refuses all jobs.
    """

    paused: str | None = None
    downscaled: str | None = None
    usual: str | None = None
    paused_closes: bool = True

    @property
    def temporary(self) -> frozenset[str]:
        """The QoS that an account has only as long as a flag is set."""
        return frozenset(filter(None, (self.paused, self.downscaled)))


@dataclass(frozen=True)
class Rules:
    """What a site decides about its accounts.

    Attributes:
        prefixes: of account names.
        root: the account that customers' accounts are created under; never changed, never removed.
        user_default: the default account of users who have no association yet; None: the
            allocation that they join first.
        qos: the QoS of paused and downscaled resources.
        finish_jobs: whether leavers' jobs may end by themselves before they are removed; until
            then they submit no more.
    """

    prefixes: Prefixes
    root: str
    user_default: str | None
    qos: QosRules = QosRules()
    finish_jobs: bool = False

    @property
    def accounts(self) -> frozenset[str]:
        """The accounts that have to be on the cluster before anything is done."""
        return frozenset(filter(None, (self.root, self.user_default)))

    def protects(self, name: str) -> bool:
        """Tell whether an account is one that is only ever a parent or a default."""
        return name in {"root", self.root, self.user_default}
