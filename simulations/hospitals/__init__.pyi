from .hospitals import Progress, check_scenario, write_hospitals
from .joined import check_budgets, joined_sites, site_names, write_joined
from .scenario import Arm, Scenario

__all__ = [
    "Arm",
    "Progress",
    "Scenario",
    "check_budgets",
    "check_scenario",
    "joined_sites",
    "site_names",
    "write_hospitals",
    "write_joined",
]
