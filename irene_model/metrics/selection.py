"""Which of several judged models is kept (pure)."""

from collections.abc import Mapping


def best_round(validation: Mapping[int, float | None]) -> int:
    """The earliest round or epoch with the highest value; the last one where none has a value."""
    defined = {round: value for round, value in validation.items() if value is not None}
    if not defined:
        return max(validation)
    return max(defined, key=lambda round: (defined[round], -round))


def latest_of_the_best(
    validation: Mapping[int, float | None], least: Mapping[int, float | None]
) -> int:
    """The last round whose value the best one does not beat by more than its interval.

    `least` has the lower end of each value's interval; without one for the best, it is the best.
    The best of a few values that carry noise is often a lucky one (the rule of one standard error
    in Breiman et al. 1984 is of that kind), and training with noise gets better with its rounds.
    """
    best = best_round(validation)
    bound = least.get(best)
    if bound is None:
        return best
    return max(r for r, value in validation.items() if r == best or (value or 0.0) >= bound)
