from .columns import AgeUnit, ImageColumn, LabelColumn, SexColumn, SplitColumn, split_cells
from .hardware import Memory
from .image_filter import ImageFilter
from .limits import Limits, check_epsilon, check_noise, check_study
from .mapped import mapped_labels, mapped_modalities
from .missing import MissingWords, plain
from .named_files import paths_in
from .site import Budget, Site
from .splits import Splits
from .table_files import DayOrder, Join, LabTable, OwnedTable, RecordsTable, Table, Take

__all__ = [
    "AgeUnit",
    "Budget",
    "DayOrder",
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
    "Take",
    "check_epsilon",
    "check_noise",
    "check_study",
    "mapped_labels",
    "mapped_modalities",
    "paths_in",
    "plain",
    "split_cells",
]
