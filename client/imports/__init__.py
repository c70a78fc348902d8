"""What a hospital's systems export, as the product's own tables with a draft of site.yaml.

In: FHIR bundles, an OMOP database or folder, a PACS export, and what the hospital chooses. Out: a
folder with a row for each record, a long laboratory table, and what could not be decided in words.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
