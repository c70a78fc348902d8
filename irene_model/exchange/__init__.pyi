from .protocol import WIRE_DTYPE, Array, Arrays, Flat, Message, Plain, check_update
from .replies import (
    LABEL_ABSENT,
    LABEL_SENT,
    LABEL_WITHHELD,
    LARGEST_EPSILON,
    MOST_PATIENTS,
    Code,
    EvaluateReply,
    HelloReply,
    TrainReply,
)
from .requests import EvaluateRequest, HelloRequest, Request, TrainRequest, read_study
from .weight_bounds import LARGEST_FIRST, check_moves, check_weights

__all__ = [
    "LABEL_ABSENT",
    "LABEL_SENT",
    "LABEL_WITHHELD",
    "LARGEST_EPSILON",
    "LARGEST_FIRST",
    "MOST_PATIENTS",
    "WIRE_DTYPE",
    "Array",
    "Arrays",
    "Code",
    "EvaluateReply",
    "EvaluateRequest",
    "Flat",
    "HelloReply",
    "HelloRequest",
    "Message",
    "Plain",
    "Request",
    "TrainReply",
    "TrainRequest",
    "check_moves",
    "check_update",
    "check_weights",
    "read_study",
]
