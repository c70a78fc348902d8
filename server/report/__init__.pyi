from .learning_curves import curves
from .page_templates import pages
from .plots import STYLES, Tick, ticks
from .report import write_report

__all__ = [
    "STYLES",
    "Tick",
    "curves",
    "pages",
    "ticks",
    "write_report",
]
