"""The drill's hand on a hospital's client: who owns a machine can change what runs there.

With this folder on PYTHONPATH, the program that a node starts for a message
(`client.node.installed`) gets `client.app` with the drill's own app in it. All other processes are
left as they are.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

APP = "client.app"


class Hand:
    """A finder that is asked once, for the app, and then goes."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The installed module's own, but that its app is noted and spoiled once it is there."""
        if name != APP:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            from tests.drills.drill_client import Noted

            module.app = Noted(module, Path(os.environ["IRENE_DRILL_PLAN"]))  # type: ignore[attr-defined]

        spec.loader.exec_module = execute_and_replace  # type: ignore[method-assign]
        return spec


if "client.node.installed" in sys.orig_argv and "IRENE_DRILL_PLAN" in os.environ:
    sys.meta_path.insert(0, Hand())  # type: ignore[arg-type]
