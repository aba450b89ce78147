"""A real cluster whose writes are watched: what each one changed, and who dies at which of them.

Scripts stand before its programs. A write is noted with the state of slurmdbd's tables before and
after it, read from the database itself: it answers whatever is away.
"""

from __future__ import annotations

import os
import shlex
import signal
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from tests.support.clusters import CLUSTER, RealCluster

Moment = Literal["before", "after", "frozen"]
Victim = Literal["child", "worker"]
_TOOLS = ("sacctmgr", "sacct", "scancel", "scontrol")
_STATE = f"""
    SELECT CONCAT_WS('|', name, description) FROM acct_table WHERE deleted=0 UNION ALL
    SELECT name FROM user_table WHERE deleted=0 UNION ALL
    SELECT CONCAT_WS('|', acct, user, parent_acct, is_def, grp_tres_mins, qos, def_qos_id,
                     COALESCE(grp_submit_jobs, '-'))
      FROM {CLUSTER}_assoc_table WHERE deleted=0 ORDER BY 1"""
_SCRIPT = r"""#!/bin/sh
program={bin}/{tool} folder={folder} line="{tool} $*"
case "$line " in scancel* | *" add "* | *" modify "* | *" remove "*) ;;
  *) exec "$program" "$@" ;;
esac
state() {{ {bin}/sql -NBe {query} slurm_acct_db | md5sum; }}
note() {{ printf '%s\t' "$code" "$before" "$(state)" >>"$folder/writes"
          printf '%s\n' "$line" >>"$folder/writes"; }}
die() {{
  victim=$PPID
  [ "$who" = child ] || victim=$(sed -n 's/^PPid:\t//p' "/proc/$PPID/status")
  echo "$$" >"$folder/struck"
  kill -9 "$victim"
  kill -9 $$  # an exit code would tell whoever outlives the victim that it was done
}}
echo >>"$folder/begun"
before=$(state) moment= who=
if [ -e "$folder/strike" ]; then
  read -r number moment who frozen <"$folder/strike"
  [ "$(wc -l <"$folder/begun")" = "$number" ] || moment=
fi
case $moment in
  before) die ;;
  after)
    "$program" "$@" >"$folder/out" 2>&1; code=$?
    note
    die ;;
  frozen)
    kill -STOP "$frozen"
    echo "$$" >"$folder/struck" ;;
esac
"$program" "$@"; code=$?
note
exit "$code"
"""


@dataclass(frozen=True)
class Write:
    """A write that came to its end.

    Attributes:
        argv: the command line.
        code: its exit code.
        effect: whether it changed what slurmdbd stores.
    """

    argv: str
    code: int
    effect: bool


@dataclass(frozen=True)
class Watched:
    """Scripts in `bin_dir`, in the place of a cluster's programs.

    Attributes:
        cluster: the cluster.
        folder: where the scripts are, and their notes.
    """

    cluster: RealCluster
    folder: Path

    @cached_property
    def bin_dir(self) -> Path:
        """The folder of the scripts, made at the first look."""
        folder = self.folder / "bin"
        folder.mkdir(parents=True)
        for tool in _TOOLS:
            script = folder / tool
            text = _SCRIPT.format(
                tool=tool,
                bin=shlex.quote(str(self.cluster.bin_dir)),
                folder=shlex.quote(str(self.folder)),
                query=shlex.quote(_STATE),
            )
            script.write_text(text, encoding="utf-8")
            script.chmod(0o755)
        return folder

    def begun(self) -> int:
        """Return how many writes have begun."""
        return len(self._lines("begun"))

    def writes(self) -> list[Write]:
        """Return the writes that came to their end."""
        split = (line.split("\t") for line in self._lines("writes"))
        return [Write(argv, int(code), before != after) for code, before, after, argv in split]

    def repeated(self) -> list[str]:
        """Return the writes that SLURM took and that changed nothing; `scancel` is none.

        One that SLURM refused is none either, unless it had had its effect before.
        """
        done: set[str] = set()
        found = []
        for write in self.writes():
            if write.effect:
                done.add(write.argv)
            elif write.argv.startswith("sacctmgr") and (write.code == 0 or write.argv in done):
                found.append(write.argv)
        return found

    def strike(self, number: int, moment: Moment, victim: Victim = "child") -> None:
        """Order what becomes of a write that is yet to begin.

        Args:
            number: the how-manieth from now on, from 1.
            moment: somebody dies before it begins, or after its effect, while its output isn't
                read yet; or slurmdbd freezes, so that it hangs until `thaw`.
            victim: the process that started it, or that one's parent.
        """
        (self.folder / "struck").unlink(missing_ok=True)
        text = f"{self.begun() + number} {moment} {victim} {self.cluster.pid('slurmdbd')}\n"
        (self.folder / "strike").write_text(text, encoding="utf-8")

    def struck(self) -> bool:
        """Tell whether the ordered strike has come."""
        return (self.folder / "struck").exists()

    def frozen(self) -> int:
        """Return the pid of the write that the strike hit."""
        return int((self.folder / "struck").read_text(encoding="utf-8"))

    def thaw(self) -> None:
        """Let a frozen slurmdbd go on."""
        os.kill(self.cluster.pid("slurmdbd"), signal.SIGCONT)

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
