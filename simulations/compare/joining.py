"""What each hospital has of joining: its gain over its own model, and how sure that is (pure).

The gain is the AUROC on the hospital's own test patients less that of the model that it trains
alone on its own patients (arm `local`, without privacy, which nobody needs from oneself). Both are
judged on the same patients in the same draws, so what these do to both cancels.

A way to train asks its question once for each hospital. Its p values are Holm's over its hospitals;
several ways are several questions, for which nothing is corrected.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from irene_model.metrics import Draws
from simulations.compare.intervals import Spread, error_of, minus, over_both, over_patients
from simulations.evidence import holm

Json = dict[str, Any]
Array = npt.NDArray[np.float64]
Pairs = Mapping[str, tuple[Sequence[Json], Sequence[Json]]]  # site -> trainings, its own ones
_OWN = "local"


def gain_at(site: str, results: Sequence[Json], own: Sequence[Json], *, seeds: bool) -> Spread:
    """Of the trainings `results` over the hospital's own ones, seed by seed.

    seeds: they have patients of their own; else they are folds of the same ones.
    """
    values, draws = _paired(site, results, own)
    return _spread(values, draws, seeds=seeds)


def joining(
    rows: Mapping[str, Sequence[Json]], sites: Sequence[str], *, seeds: bool
) -> dict[str, Json]:
    """Way to train -> `sites`, `mean`, `small_less_large`.

    Those are each hospital's gain, that of the mean hospital, and by how much the mean of the
    smaller half of the hospitals (by patients to train) gains more than that of the larger half;
    its mean is None where the sizes are not known or there are fewer than four hospitals.

    rows: as in results.json. The rows of one hospital each are one way together: `personal/irene`.
    Only ways and hospitals that have an own model beside them.
    """
    ways: dict[str, dict[str, Sequence[Json]]] = {}
    for key, results in rows.items():
        if results and results[0]["arm"] != _OWN:
            site = results[0]["site"]
            way = key if site is None else key.replace(f"-{site}/", "/", 1)
            ways.setdefault(way, {}).update(dict.fromkeys([site] if site else sites, results))
    found = {}
    for way, at in ways.items():
        pairs = {
            site: (at[site], own)
            for site in sites
            if site in at and (own := own_model(rows, site, at[site][0]["model"]))
        }
        gains = {site: gain_at(site, *pair, seeds=seeds) for site, pair in pairs.items()}
        if any(gain.mean is not None for gain in gains.values()):
            corrected = holm({site: gain.p for site, gain in gains.items()})
            found[way] = {
                "sites": {
                    site: gain.as_dict() | {"p": gain.p, "p_holm": corrected[site]}
                    for site, gain in gains.items()
                },
                "mean": _together(pairs, dict.fromkeys(pairs, 1.0), seeds=seeds).as_dict(),
                "small_less_large": _of_size(pairs, seeds=seeds),
            }
    return found


def own_model(rows: Mapping[str, Sequence[Json]], site: str, model: str) -> Sequence[Json]:
    """The trainings of the hospital alone, of the same model; empty where there are none."""
    for results in rows.values():
        first = results[0] if results else {}
        if [first.get(name) for name in ("arm", "site", "model")] == [_OWN, site, model]:
            return results
    return ()


def _of_size(pairs: Pairs, *, seeds: bool) -> Json:
    """The gain of the smaller half less that of the larger one; a middle hospital is in neither."""
    sizes = {
        site: results[0].get("patients", {}).get(site, {}).get("train")
        for site, (results, own) in pairs.items()
        if _by_seed(site, results, own)
    }
    order = sorted(sizes, key=lambda site: sizes[site] or 0)
    half = len(order) // 2
    if half < 2 or None in sizes.values():
        return Spread(mean=None, ci95=None, n=0).as_dict()
    sides = dict.fromkeys(order[:half], 1.0) | dict.fromkeys(order[-half:], -1.0)
    return _together(pairs, sides, seeds=seeds).as_dict()


def _together(pairs: Pairs, sides: Mapping[str, float], *, seeds: bool) -> Spread:
    """The mean gain of the hospitals on side 1 less that of those on side -1.

    Each hospital counts once, however large it is; only seeds in which all have a gain.
    """
    by_site = {s: told for s in sides if (told := dict(_by_seed(s, *pairs[s])))}
    shared = sorted(set.intersection(*(set(each) for each in by_site.values())))
    on = {side: sum(sides[s] == side for s in by_site) for side in sides.values()}
    weights = np.array([sides[site] / on[sides[site]] for site in by_site])
    values: list[float | None] = []
    draws: list[Draws] = []
    for seed in shared:
        of_seed = [each[seed] for each in by_site.values()]
        values.append(float(weights @ [gain for gain, _ in of_seed]))
        draws.append(_weighted(weights, [drawn for _, drawn in of_seed]))
    return _spread(values, draws, seeds=seeds)


def _spread(values: Sequence[float | None], draws: Sequence[Draws], *, seeds: bool) -> Spread:
    if not seeds or sum(value is not None for value in values) < 2:
        return over_patients(values, draws)
    return over_both(values, [error_of(v, d) for v, d in zip(values, draws, strict=True)])


def _paired(
    site: str, results: Sequence[Json], own: Sequence[Json]
) -> tuple[list[float | None], list[Draws]]:
    other = {each["seed"]: each for each in own}
    both = [(result, other[result["seed"]]) for result in results if result["seed"] in other]
    values: list[float | None] = []
    draws: list[Draws] = []
    for one, alone in both:
        a, b = (each["auroc"]["by_site"].get(site) for each in (one, alone))
        values.append(None if a is None or b is None else a - b)
        draws.append(minus(*(each["draws"]["by_site"][site] for each in (one, alone))))
    return values, draws


def _by_seed(
    site: str, results: Sequence[Json], own: Sequence[Json]
) -> list[tuple[int, tuple[float, Draws]]]:
    """Seed -> gain and its draws, of the seeds that have one."""
    other = {each["seed"] for each in own}
    seeds = [result["seed"] for result in results if result["seed"] in other]
    values, draws = _paired(site, results, own)
    return [
        (seed, (value, drawn))
        for seed, value, drawn in zip(seeds, values, draws, strict=True)
        if value is not None
    ]


def _weighted(weights: Array, draws: Sequence[Draws]) -> Draws:
    table = np.array(draws, dtype=np.float64)  # None becomes NaN, and a sum with it too
    return [None if np.isnan(told) else float(told) for told in weights @ table]
