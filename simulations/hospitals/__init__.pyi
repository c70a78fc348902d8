from .hospitals import Progress, check_scenario, write_hospitals
from .scenario import Arm, Scenario

__all__ = [
    "Arm",
    "Progress",
    "Scenario",
    "check_scenario",
    "write_hospitals",
]
