"""The templates of report and live page: as those of all pages, with places on an axis."""

from jinja2 import Environment

from irene_model.pages import pages as pages_of
from server.report.plots import share_of


def pages(package: str = "server") -> Environment:
    """As `irene_model.pages.pages`, with the filter `share_of`."""
    environment = pages_of(package)
    environment.filters["share_of"] = share_of
    return environment
