"""What a ledger's entries survive once they are committed.

A charge must be on disk before noise is released: if the power goes, what left the hospital is out
and what it cost must not be forgotten. A simulation whose patients are all made up has nobody to
protect, and waits for the disk many times a round.
"""

from enum import Enum


class Survives(Enum):
    """POWER_LOSS: the disk has it. KILLS: the system has it, so that any process may be killed.

    KILLS is for simulations of made-up patients alone; no file and no message can ask for it.
    """

    POWER_LOSS = "EXTRA"  # also syncs the folder when SQLite's journal goes, which is what commits
    KILLS = "OFF"

    @property
    def synchronous(self) -> str:
        """SQLite's name for it."""
        return self.value
