from .rounds_view import RoundsView
from .status_survey import survey
from .status_view import show
from .web import HOST, serve

__all__ = [
    "HOST",
    "RoundsView",
    "serve",
    "show",
    "survey",
]
