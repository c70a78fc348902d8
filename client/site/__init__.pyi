from .columns import ImageColumn, LabelColumn, SexColumn, SplitColumn, split_cells
from .hardware import Memory
from .image_filter import ImageFilter
from .limits import Limits, check_epsilon, check_noise, check_study
from .mapped import mapped_labels, mapped_modalities
from .missing import MissingWords, plain
from .site import Budget, Site, Splits
from .table_files import Join, LabTable, OwnedTable, RecordsTable, Table

__all__ = [
    "Budget",
    "ImageColumn",
    "ImageFilter",
    "Join",
    "LabTable",
    "LabelColumn",
    "Limits",
    "Memory",
    "MissingWords",
    "OwnedTable",
    "RecordsTable",
    "SexColumn",
    "Site",
    "SplitColumn",
    "Splits",
    "Table",
    "check_epsilon",
    "check_noise",
    "check_study",
    "mapped_labels",
    "mapped_modalities",
    "plain",
    "split_cells",
]
