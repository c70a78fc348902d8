from .learning_curves import curves
from .page_templates import pages
from .plots import STYLES, Tick, share_of, ticks
from .report import write_report

__all__ = [
    "STYLES",
    "Tick",
    "curves",
    "pages",
    "share_of",
    "ticks",
    "write_report",
]
