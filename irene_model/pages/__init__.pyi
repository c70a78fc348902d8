from .page_templates import look, pages, stacked

__all__ = [
    "look",
    "pages",
    "stacked",
]
