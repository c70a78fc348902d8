"""What Flower gives to the server of a run, as `irene-server init` names it to Flower."""

from server.runs import KEPT

RUN_CONFIG: dict[str, str | int] = {
    "study": "",
    "out": "",
    "seed": 0,
    "sites": 0,
    "enrolled": "",
    "start-image": "",
    "start-text": "",
    "start-irene": "",
    "keep-checkpoints": KEPT,
}
"""The keys of a run's configuration that `server.app` reads, with their defaults."""
