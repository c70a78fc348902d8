from .dataset import SiteDataset, open_dataset, sample_patients
from .images import load_image
from .patients import PatientSet, digest
from .tables import PlacedRecord, read_placed_records

__all__ = [
    "PatientSet",
    "PlacedRecord",
    "SiteDataset",
    "digest",
    "load_image",
    "open_dataset",
    "read_placed_records",
    "sample_patients",
]
