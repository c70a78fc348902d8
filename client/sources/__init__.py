"""What a hospital's systems export, read into one form: patients, visits, images, texts, codes.

In: FHIR R4 bundles and NDJSON, OMOP's tables, a folder of DICOM files. Out: a `History`, the rows
of its laboratory, and counts of what was passed over and why. What is read names other things by
keys, and nothing is followed out of what is given.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
