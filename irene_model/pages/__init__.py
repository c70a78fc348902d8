"""What all HTML pages share: templates that escape everything, words for numbers, one look.

In: a package with templates in its wings. Out: its environment, and the style sheet of the product.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
