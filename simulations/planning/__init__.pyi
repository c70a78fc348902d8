from .plan_view import plan_json, show_plan, show_twin
from .proposal import propose
from .prospect import prospect_of
from .public import public_of
from .subject import Subject
from .twin import train_twin
from .writing import write_plan

__all__ = [
    "Subject",
    "plan_json",
    "propose",
    "prospect_of",
    "public_of",
    "show_plan",
    "show_twin",
    "train_twin",
    "write_plan",
]
