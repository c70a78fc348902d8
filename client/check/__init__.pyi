from .coverage_view import coverage_tables
from .quality import QualityReport, inspect

__all__ = [
    "QualityReport",
    "coverage_tables",
    "inspect",
]
