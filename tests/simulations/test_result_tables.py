"""What a run prints at its end."""

from typing import Any

from simulations.result_tables import site_table


def arm(sites: int) -> dict[str, Any]:
    names = [f"site-{number:04}" for number in range(1, sites + 1)]
    spent = {"epsilon": 7.9, "delta": 1e-5}
    return {
        "auroc": {"by_site": dict.fromkeys(names, 0.7)},
        "privacy": dict.fromkeys(names, spent),
    }


def test_a_thousand_sites_do_not_fill_the_terminal() -> None:
    few, many = site_table(arm(40)), site_table(arm(1000))
    assert (few.row_count, few.caption) == (40, None)
    assert many.row_count == 40
    assert many.caption == "and 960 more: results.json and the report have all"
