"""What a process of the engine is: the installed client of one site after the other.

It keeps what a process may keep in a run in which no hospital's file changes.
"""

import logging
import os
from pathlib import Path

from flwr.app import Message

from client.app import answer
from client.ledger import Ledger
from client.participant import Participant
from client.records import SiteDataset, open_dataset
from client.site import Site
from irene_model.journal import open_private, private_folder
from irene_model.study import Study

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class KeptDatasets:
    """Data sets that one process has opened, for a run in which no hospital's file changes.

    A deployed client looks at its files for every message; here they are a run's own.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str, str], SiteDataset] = {}

    def open(self, site: Site, study: Study) -> SiteDataset:
        """The data set, as it was when the process first opened it."""
        key = (site.folder, site.model_dump_json(), study.fingerprint)
        if key not in self._kept:
            self._kept[key] = open_dataset(site, study)
        return self._kept[key]


KEPT = KeptDatasets()
"""Of this process."""


def answer_as(site: Site, message: Message, *, seed: int, masked: bool, made_up: bool) -> Message:
    """The reply of `site` to one message of the server.

    masked: False leaves the masks of secure sums out; the sums are the same. made_up: no patient of
    any site is real, so that ledgers need not outlive a power failure.
    """
    _log_to(site)
    participant = Participant(
        site=site,
        simulation_seed=seed,
        masked=masked,
        dataset=KEPT.open,
        ledger=Ledger.of_made_up if made_up else Ledger.of,
    )
    return answer(message, participant)


def _log_to(site: Site) -> None:
    """A simulated client's log lies beside its site.yaml; Ray shares processes between sites."""
    log = private_folder(site.folder / ".irene") / "client.log"
    os.close(open_private(log, os.O_WRONLY))
    logging.basicConfig(filename=log, level=logging.INFO, format=_LOG_FORMAT, force=True)
