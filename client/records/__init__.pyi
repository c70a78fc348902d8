from .dataset import KeptDataset, Rows, SiteDataset, Stored, open_dataset, sample_patients
from .patients import PatientSet, digest
from .splits import split_of, stratified
from .tables import (
    PlacedRecord,
    image_files,
    read_placed_records,
    read_wanted_records,
    sound_files,
)

__all__ = [
    "KeptDataset",
    "PatientSet",
    "PlacedRecord",
    "Rows",
    "SiteDataset",
    "Stored",
    "digest",
    "image_files",
    "open_dataset",
    "read_placed_records",
    "read_wanted_records",
    "sample_patients",
    "sound_files",
    "split_of",
    "stratified",
]
