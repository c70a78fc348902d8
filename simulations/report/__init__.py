"""A comparison as a page that clinicians and reviewers read, and as a table of all its numbers.

In: results.json. Out: report.html and numbers.csv, and the order in which a terminal shows rows.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
