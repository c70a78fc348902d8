"""What is planned for: a scenario, or a study alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from irene_model.study import Study, read_mapping
from simulations.hospitals import Scenario


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A file's study, and the scenario around it if there is one."""

    path: Path
    study: Study
    scenario: Scenario | None
    overrides: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> "Subject":
        """A file with the key `study` is a scenario, any other a study.

        A mistake is a ConfigError naming file and key.
        """
        scenario = None
        if "study" in read_mapping(path):
            scenario = Scenario.read(path, overrides)
        study = Study.read(path, overrides) if scenario is None else scenario.study
        return cls(path=path, study=study, scenario=scenario, overrides=tuple(overrides))

    @property
    def started(self) -> bool:
        """Whether the scenario begins from a model that was trained before."""
        return self.scenario is not None and self.scenario.start is not None
