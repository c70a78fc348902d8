"""The drill's hand on a hospital's client: who owns a machine can change what runs there.

With this folder on PYTHONPATH, a node's trainer (`client.trainer.trainer`) gets `client.answers`
with the drill's own answer in it. All other processes are left as they are.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ANSWERS = "client.answers"


class Hand:
    """A finder that is asked once, for the answers, and then goes."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The installed module's own, but that what it answers is noted and spoiled."""
        if name != ANSWERS:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            from tests.drills.drill_client import Noted

            plan = Path(os.environ["IRENE_DRILL_PLAN"])
            module.safe_answer = Noted(module.safe_answer, plan)  # type: ignore[attr-defined]

        spec.loader.exec_module = execute_and_replace  # type: ignore[method-assign]
        return spec


if "client.trainer.trainer" in sys.orig_argv and "IRENE_DRILL_PLAN" in os.environ:
    sys.meta_path.insert(0, Hand())  # type: ignore[arg-type]
