from .counting import draw_census
from .hospitals import Progress, check_scenario, write_hospitals
from .joined import check_budgets, joined_sites, site_names, write_joined
from .scenario import Arm, Cohort, Scenario, SimulatedSite
from .secure_sums import (
    HELD_OUT_SHARES,
    alone,
    mask_key,
    with_members,
    without_sums,
    write_mask_keys,
)

__all__ = [
    "HELD_OUT_SHARES",
    "Arm",
    "Cohort",
    "Progress",
    "Scenario",
    "SimulatedSite",
    "alone",
    "check_budgets",
    "check_scenario",
    "draw_census",
    "joined_sites",
    "mask_key",
    "site_names",
    "with_members",
    "without_sums",
    "write_hospitals",
    "write_joined",
    "write_mask_keys",
]
