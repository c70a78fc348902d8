from .federation import ADAPTIVE
from .recipe import LastBlocks, LowRank, NamedSubset, Parameters
from .records import OLDEST_YEARS, SPLITS, HeldOut, Record, Sex, Split
from .schedule import server_rate, site_rate
from .settings import Settings, dump, override, parse, read, read_mapping
from .shapes import (
    RESERVED,
    LabTest,
    Measurement,
    Name,
    Panel,
    TextEncoder,
    TextShape,
    places,
    with_values_files,
)
from .study import Engine, Method, ModelShape, Study
from .wire import STYPE, Encoding, Packed, pack, rounded, travelling_bytes, unpack

__all__ = [
    "ADAPTIVE",
    "OLDEST_YEARS",
    "RESERVED",
    "SPLITS",
    "STYPE",
    "Encoding",
    "Engine",
    "HeldOut",
    "LabTest",
    "LastBlocks",
    "LowRank",
    "Measurement",
    "Method",
    "ModelShape",
    "Name",
    "NamedSubset",
    "Packed",
    "Panel",
    "Parameters",
    "Record",
    "Settings",
    "Sex",
    "Split",
    "Study",
    "TextEncoder",
    "TextShape",
    "dump",
    "override",
    "pack",
    "parse",
    "places",
    "read",
    "read_mapping",
    "rounded",
    "server_rate",
    "site_rate",
    "travelling_bytes",
    "unpack",
    "with_values_files",
]
