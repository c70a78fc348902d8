"""A machine whose clock is really wrong: a preloaded library shifts what the kernel says.

libfaketime would do, but for Python's sleeping and waiting, which it breaks either way.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "tcc"))), None)
HERE = sys.platform == "linux" and COMPILER is not None
WHY_NOT = "a wrong clock wants Linux and a C compiler (apt install tcc)"


@dataclass(frozen=True, kw_only=True)
class WrongClock:
    """Preloaded through `environment`; `set` counts at once for all processes that have it."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.set(0)
        words = [str(COMPILER), "-shared", "-fPIC", "-o", str(self._library), str(SOURCE)]
        subprocess.run(words, check=True, capture_output=True)

    def set(self, shift_s: int) -> None:
        """So many seconds ahead of the truth."""
        work = self.folder / "shift.part"
        work.write_text(f"{shift_s}\n")
        work.replace(self._shift)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "WRONG_CLOCK": str(self._shift)}

    @property
    def _library(self) -> Path:
        return self.folder / "wrong_clock.so"

    @property
    def _shift(self) -> Path:
        return self.folder / "shift"
