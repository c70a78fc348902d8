from .budget import BudgetReport, Outlook, look_ahead, read_budget
from .budget_view import loss_sentence, number, number_or_unknown, show
from .declared import ImageProgress, declared_by
from .forecast_plot import draw
from .forecast_view import show_forecast
from .forecasts import Forecast, forecast
from .plan import (
    Plan,
    declared_patients,
    declared_size,
    permitted_evaluation,
    permitted_plan,
    plan_round,
    site_delta,
)

__all__ = [
    "BudgetReport",
    "Forecast",
    "ImageProgress",
    "Outlook",
    "Plan",
    "declared_by",
    "declared_patients",
    "declared_size",
    "draw",
    "forecast",
    "look_ahead",
    "loss_sentence",
    "number",
    "number_or_unknown",
    "permitted_evaluation",
    "permitted_plan",
    "plan_round",
    "read_budget",
    "show",
    "show_forecast",
    "site_delta",
]
