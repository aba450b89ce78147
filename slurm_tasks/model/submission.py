"""How many jobs may be submitted to an association, and what that was before it was closed.

SLURM has two such limits, and each QoS may override either of them (measured on 22.05, 24.11 and
26.05: a QoS with a `GrpSubmitJobs` of its own lets jobs into an account with `GrpSubmitJobs=0`). So
both are set to 0 to close an association.

A site's own limits have to survive that. The service keeps no state, so they are kept beside the
limits in SLURM: as 1,000,000,000 and the limit, in `GrpJobsAccrue` and `MaxJobsAccrue`. Those cap
how many pending jobs gain priority by waiting; such a number has no effect. One command sets limits
and memory, for accounts and for users alike, so no crash can come between them.
"""

from dataclasses import dataclass, replace

KEPT = 1_000_000_000
"""What is added to a limit that is remembered; nobody limits jobs to that many."""


@dataclass(frozen=True)
class JobLimit:
    """One limit on submitted jobs, and the field that remembers it.

    Attributes:
        jobs: GrpSubmitJobs or MaxSubmitJobs; None: no limit.
        accrue: GrpJobsAccrue or MaxJobsAccrue: the site's own, or from KEPT on our memory.
    """

    jobs: int | None = None
    accrue: int | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the former limit is remembered."""
        return self.accrue is not None and self.accrue >= KEPT

    def lost_by_closing(self, name: str) -> str:
        """Return the limit, should closing not remember it: a site uses the field itself."""
        lost = self.jobs not in {None, 0} and self.accrue is not None and not self.is_kept
        return f"{name}={self.jobs}" if lost else ""

    def close(self) -> "JobLimit":
        """Return a limit of 0 that remembers this one."""
        if self.accrue is not None and (self.jobs == 0 or not self.is_kept):
            return replace(self, jobs=0)
        return JobLimit(0, None if self.jobs is None else KEPT + self.jobs)

    def open(self) -> "JobLimit":
        """Return the limit that is remembered; none where there was none."""
        if self.is_kept and self.accrue is not None:
            return JobLimit(self.accrue - KEPT)
        return replace(self, jobs=None)


@dataclass(frozen=True)
class Submission:
    """How many jobs may be submitted to an association.

    Attributes:
        together: by all below it together (GrpSubmitJobs).
        each: by each user below it who has no such limit of their own (MaxSubmitJobs).
    """

    together: JobLimit = JobLimit()
    each: JobLimit = JobLimit()

    @property
    def is_blocked(self) -> bool:
        """Whether it takes no jobs, but for a QoS that overrides this."""
        return self.together.jobs == 0

    @property
    def is_closed(self) -> bool:
        """Whether it takes no jobs, but for a QoS that overrides both limits."""
        return self.is_blocked and self.each.jobs == 0

    def close(self) -> "Submission":
        """Return it closed, with the former limits remembered."""
        if self.is_closed:
            return self
        if self.is_blocked:  # by an older version of the service, or by an administrator
            return replace(self, each=self.each.close())
        return Submission(self.together.close(), self.each.close())

    def open(self) -> "Submission":
        """Return it as it was before it was closed, whoever has closed it."""
        each = self.each.open() if self.each.jobs == 0 else self.each
        return Submission(self.together.open(), each)

    def lost_by_closing(self) -> tuple[str, ...]:
        """Name the limits that closing can't remember."""
        together = "" if self.is_blocked else self.together.lost_by_closing("GrpSubmitJobs")
        return tuple(filter(None, (together, self.each.lost_by_closing("MaxSubmitJobs"))))


OPEN = Submission()
"""Of an association without limits."""
CLOSED = Submission(JobLimit(0), JobLimit(0))
"""Of an association that had no limits."""
