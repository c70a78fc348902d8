"""IRENE: one transformer over a radiograph, a complaint, laboratory values and demographics.

This package holds the model and everything that hospitals and the server must agree on. It knows
nothing of Flower. Like every wing's door it loads a name on first use, so that `import irene_model`
stays light.
"""

from lazy_loader import attach_stub

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
