"""The fit file: which parameters of a case, estimated from which data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ...case.load import plain_values, read_table
from ...case.messages import first_problem
from ...case.values import FileName, Table, refuse
from ...errors import CaseError

__all__ = ["DataSet", "Fit", "FitParameter", "Rotation", "Sigma", "XColumn", "YColumn", "load_fit"]

_MOST_SETS = 20


class FitParameter(Table):
    """One parameter: where it starts and within what bounds."""

    start: Any = Field(description="as it would stand in the case")
    min: Any = Field(None, description="lower bound; default: none, or just above 0 where needed")
    max: Any = Field(None, description="upper bound; default: none")
    log: bool = Field(False, description="vary the logarithm")


class Rotation(Table):
    """What turns, as the axis angle of a scan."""

    plane: Literal["xy", "yx", "xz", "zx", "yz", "zy"]
    of: Literal["magnetization", "field", "both"] = "magnetization"


class XColumn(Table):
    """The column of a file that goes into the case."""

    column: str
    path: str | None = Field(None, description="dotted path in the case")
    angle: Rotation | None = Field(None, description="instead of path: the column is an angle")
    unit: str | None = Field(None, description="default: from the head of the column")

    @model_validator(mode="after")
    def _one_meaning(self) -> XColumn:
        if (self.path is None) == (self.angle is None):
            raise refuse("path", "give either path or angle")
        return self


class YColumn(Table):
    """The column of a file that a number of the result is compared with."""

    column: str
    result: str = Field(description="name of a number of the result, as in a scan")
    unit: str | None = Field(None, description="default: from the head of the column")


class Sigma(Table):
    """Standard deviation of the data."""

    column: str | None = Field(None, description="in the unit of its head, or of y")
    absolute: Annotated[float, Field(gt=0)] | None = Field(None, description="in the unit of y")
    relative: Annotated[float, Field(gt=0)] | None = Field(None, description="fraction of |y|")

    @model_validator(mode="after")
    def _given_once(self) -> Sigma:
        given = [k for k in ("column", "absolute", "relative") if getattr(self, k) is not None]
        if len(given) != 1:
            raise refuse(given[1] if given else "column", "give one of column, absolute, relative")
        return self


class DataSet(Table):
    """One file: a scan of the case over x, compared with y."""

    file: FileName
    name: str | None = Field(None, description="default: the file name")
    x: XColumn
    y: YColumn
    sigma: Sigma | None = Field(None, description="default: equal weights within the set")
    set: dict[str, Any] = Field({}, description="values of the case in this set")
    scale: bool = Field(False, description="a free factor in front of the result")

    @property
    def label(self) -> str:
        """Name, or that of the file."""
        return self.name if self.name is not None else Path(self.file).stem


class Fit(Table):
    """A whole fit file."""

    title: str = ""
    case: FileName | dict[str, Any] = Field(description="a case file, or the case itself")
    parameters: Annotated[dict[str, FitParameter], Field(min_length=1)]
    data: Annotated[list[DataSet], Field(min_length=1, max_length=_MOST_SETS)]

    @model_validator(mode="after")
    def _sets_fit_together(self) -> Fit:
        labels = [d.label for d in self.data]
        for k, label in enumerate(labels):
            if label in labels[:k]:
                raise refuse(f"data.{k}.name", "two data sets are called {n}", n=repr(label))
        weighted = [d.sigma is not None for d in self.data]
        if any(weighted) and not all(weighted):
            k = weighted.index(False)
            raise refuse(f"data.{k}.sigma", "is missing; give sigma for all data sets or for none")
        return self


def load_fit(path: str | Path) -> Fit:
    """Return a validated fit file.

    Raises:
        CaseError: With the dotted path, the value and what is allowed.
    """
    plain = plain_values(read_table(path), (), str(path))
    for key in ("case", "parameters", "data"):
        if key not in plain:
            problem = "is missing; a fit file has case, [parameters] and [[data]]"
            if "regions" in plain:
                problem += " (this looks like a case file, not a fit file)"
            raise CaseError(key, problem, str(path))
    for name, table in plain["parameters"].items() if _is_table(plain["parameters"]) else ():
        if _is_table(table) and table and not set(table) & set(FitParameter.model_fields):
            raise CaseError(
                f"parameters.{name}",
                "the dotted path of a parameter stands in quotes, like"
                ' [parameters."regions.Pt.spin_hall_angle"]; a parameter has start, min, max, log',
                str(path),
            )
    try:
        return Fit.model_validate(plain)
    except ValidationError as error:
        where, message = first_problem(error, plain, Fit)
        raise CaseError(where, message, str(path)) from None


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)
