from .quality import QualityReport, inspect

__all__ = [
    "QualityReport",
    "inspect",
]
