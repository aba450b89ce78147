"""Told: what is said once, though it is found out again at each report."""

from dataclasses import dataclass, field


@dataclass
class Told:
    """What this process has told.

    Attributes:
        keys: of what was told.
    """

    keys: set[str] = field(default_factory=set)

    def first(self, key: str) -> bool:
        """Tell whether it is the first time; from then on it isn't."""
        if key in self.keys:
            return False
        self.keys.add(key)
        return True
