"""Which of several judged models is kept (pure)."""

from collections.abc import Mapping


def best_round(validation: Mapping[int, float | None]) -> int:
    """The earliest round or epoch with the highest value; the last one where none has a value."""
    defined = {round: value for round, value in validation.items() if value is not None}
    if not defined:
        return max(validation)
    return max(defined, key=lambda round: (defined[round], -round))
