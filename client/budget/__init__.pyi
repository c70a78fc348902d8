from .budget import BudgetReport, read_budget
from .budget_view import alone_sentence, bar, loss_sentence, number, show
from .declared import ImageProgress, declared_by
from .forecast_plot import draw
from .forecast_view import show_forecast
from .forecasts import Forecast, forecast
from .outlook import look_ahead
from .plan import (
    Plan,
    declared_patients,
    declared_size,
    permitted_evaluation,
    permitted_plan,
    plan_round,
)
from .prospects import hope
from .study_view import show_here, show_study

__all__ = [
    "BudgetReport",
    "Forecast",
    "ImageProgress",
    "Plan",
    "alone_sentence",
    "bar",
    "declared_by",
    "declared_patients",
    "declared_size",
    "draw",
    "forecast",
    "hope",
    "look_ahead",
    "loss_sentence",
    "number",
    "permitted_evaluation",
    "permitted_plan",
    "plan_round",
    "read_budget",
    "show",
    "show_forecast",
    "show_here",
    "show_study",
]
