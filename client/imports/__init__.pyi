from .commands import import_app

__all__ = ["import_app"]
