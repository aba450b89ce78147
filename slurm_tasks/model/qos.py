"""QoS: which of them refuse jobs, and which let jobs into an account that is closed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Qos:
    """A QoS' limits on submitted jobs; None: it has none, and an association's holds.

    Attributes:
        together: of all its jobs (GrpSubmitJobs); holds instead of an association's.
        user: of each user's jobs (MaxSubmitJobsPerUser); holds instead of MaxSubmitJobs.
        account: of each account's jobs (MaxSubmitJobsPerAccount); the same.
    """

    together: int | None = None
    user: int | None = None
    account: int | None = None

    @property
    def refuses_jobs(self) -> bool:
        """Whether it takes no jobs at all."""
        return 0 in {self.together, self.user, self.account}

    @property
    def overrides_closing(self) -> bool:
        """Whether it takes jobs of an account that is closed by both of its limits (measured)."""
        both = self.together is not None and (self.user, self.account) != (None, None)
        return both and not self.refuses_jobs
