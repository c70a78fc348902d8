"""Many sites' clients in a few processes that stay, behind Flower's grid.

In: a ClientApp and how many sites it stands for. Out: a `Grid`, at whose other end they answer.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
