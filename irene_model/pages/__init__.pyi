from .page_templates import look, pages

__all__ = [
    "look",
    "pages",
]
