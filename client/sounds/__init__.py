"""Recordings of breath: a file to what was heard in it, and all of a site's as patches on its disk.

In: WAV and FLAC files, bounded before they are decoded. Out: samples at the study's rate and what
is to be told of them; patches as `irene_model.inputs` makes them.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
