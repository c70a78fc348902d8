"""How many patients a site declares, for commands: with a bar while its images are decoded."""

from typing import Self

from client.site import Site
from irene_model.errors import ConfigError
from irene_model.study import Study


def declared_by(site: Site, study: Study) -> int:
    """The declared size; the files are read only where site.yaml does not declare one."""
    from client.budget.plan import declared_patients
    from client.records import open_dataset

    if site.declared_patients is not None:
        return site.declared_patients
    with ImageProgress() as progress:
        declared = declared_patients(site, open_dataset(site, study, progress.show))
    if declared == 0:
        raise ConfigError(
            f"site {site.site}: splits: no patient is left to train on; "
            "give more patients to the train split"
        )
    return declared


class ImageProgress:
    """A bar on stderr while images are decoded; nothing where stderr is not a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress

        console = Console(stderr=True)
        self._progress = Progress(
            *Progress.get_default_columns(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("decoding images", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def show(self, done: int, total: int) -> None:
        """`done` of `total` images."""
        self._progress.update(self._task, completed=done, total=total)
