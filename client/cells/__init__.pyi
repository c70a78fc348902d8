from .ages import is_capped, read_age, years_between
from .cell_error import CellError
from .comparators import with_comparator
from .dates import read_moment
from .findings import finding_reader, together
from .identifiers import identifier_reader
from .labels import label_reader, uncertain_cells
from .listed_words import sex_reader, split_reader
from .units import UnitError, check_own_units, converted, own_unit, unit_reader
from .written_numbers import NumberForm, read_lab

__all__ = [
    "CellError",
    "NumberForm",
    "UnitError",
    "check_own_units",
    "converted",
    "finding_reader",
    "identifier_reader",
    "is_capped",
    "label_reader",
    "own_unit",
    "read_age",
    "read_lab",
    "read_moment",
    "sex_reader",
    "split_reader",
    "together",
    "uncertain_cells",
    "unit_reader",
    "with_comparator",
    "years_between",
]
