"""The coordinator's machine.

In: its folder and settings. Out: certificates, gateway, SuperLink, enrolled hospitals, submitted
runs.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
