from .ages import is_capped, read_age, years_between
from .cell_error import CellError
from .dates import read_moment
from .findings import finding_reader, together
from .identifiers import identifier_reader
from .labels import label_reader, uncertain_cells
from .listed_words import sex_reader, split_reader
from .written_numbers import NumberForm, read_lab

__all__ = [
    "CellError",
    "NumberForm",
    "finding_reader",
    "identifier_reader",
    "is_capped",
    "label_reader",
    "read_age",
    "read_lab",
    "read_moment",
    "sex_reader",
    "split_reader",
    "together",
    "uncertain_cells",
    "years_between",
]
