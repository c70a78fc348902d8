"""How patients are shared out among training, validation and test where no column does it."""

import datetime
from typing import Self

from pydantic import Field, model_validator

from client.site.table_files import Column
from irene_model.study import Settings


class Splits(Settings):
    """Fractions of patients held out, drawn by a hash of the patient id: stable over time.

    train_before: patients who were first seen before that day train, by the records' `date`, and
    their later records are left out; of the others a hash draws validation and test.
    """

    validation: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.2, ge=0, lt=1)
    train_before: datetime.date | None = None
    date: Column | None = None

    @model_validator(mode="after")
    def _by_date(self) -> Self:
        if (self.train_before is None) != (self.date is None):
            raise ValueError("train_before needs date, the column of the records' dates, and back")
        if self.train_before is not None and self.validation + self.test == 0:
            raise ValueError("train_before holds patients out: give validation or test a share")
        return self

    @model_validator(mode="after")
    def _leaves_training(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test must leave patients to train on")
        return self
