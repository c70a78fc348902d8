from .dataset import SiteDataset, open_dataset, sample_patients
from .images import load_image
from .patients import PatientSet, digest
from .tables import PlacedRecord, read_placed_records
from .units import own_unit

__all__ = [
    "PatientSet",
    "PlacedRecord",
    "SiteDataset",
    "digest",
    "load_image",
    "open_dataset",
    "own_unit",
    "read_placed_records",
    "sample_patients",
]
