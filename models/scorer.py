"""Scorers: histories in codes in, scores for every product out; the protocol every model meets."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

import numpy.typing as npt

import models
from models.history import Catalogue, Codes, Events, History, ModelError, Scores

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

Learned = TypeVar("Learned")


class UnknownModel(ModelError):
    """No module of that name holds a model."""


class NotFitted(ModelError):
    """Asked for scores before `fit` or `restore`."""


@runtime_checkable
class Scorer(Protocol):
    """A model over codes: a dataclass whose fields are its hyperparameters.

    Learned arrays are assigned in `fit`; `arrays` names all of them and `restore` puts them back.
    Scores of one row and of a batch agree within 1e-5. A scorer that scores by a product of
    factors also has `customer_factors(history) -> (rows, f)` and `product_factors ->
    (products, f)`, see `Factored`, so that ranking never builds the full score matrix. One that
    names `needs` is given more (see there); one with `update` takes in what is new without
    learning all anew, see `Updatable`.
    """

    @property
    def kind(self) -> str:
        """The name of the module that holds it."""
        ...

    def fit(self, history: History) -> Self:
        """Learn from the histories of all customers."""
        ...

    def score(self, history: History) -> Scores:
        """(rows, products) float32, higher is better; rows need not have been seen in `fit`."""
        ...

    def similarity(self, products: Codes) -> Scores:
        """(len(products), products) float32: how alike each product is to the given ones."""
        ...

    def arrays(self) -> Arrays:
        """Everything learned, by name."""
        ...

    def restore(self, arrays: Arrays) -> Self:
        """Take back what `arrays` gave; arrays may be read-only memory maps."""
        ...


@runtime_checkable
class Factored(Protocol):
    """A scorer whose score is `customer_factors(history) @ product_factors.T`."""

    def customer_factors(self, history: History) -> Scores:
        """(rows, f) float32."""
        ...

    @property
    def product_factors(self) -> Scores:
        """(products, f) float32."""
        ...


@runtime_checkable
class Updatable(Protocol):
    """A scorer that can take in new products, customers and events without a full fit."""

    def update(self, history: History) -> Self:
        """Go on from what was learned; codes beyond those it knows are new products."""
        ...


def needs(scorer: Scorer) -> frozenset[str]:
    """What a scorer's history must carry beside weights, by its attribute `needs`; {} without.

    events: one by one, in order. catalogue: prices and traits, and a code for every product of
    the catalogue, sold before or not.
    """
    wanted = frozenset(getattr(scorer, "needs", ()))
    if not wanted <= {"events", "catalogue"}:
        raise ModelError(
            f"{scorer.kind}.needs must be of events, catalogue, got {', '.join(sorted(wanted))}"
        )
    return wanted


def kinds() -> list[str]:
    """Names of the models at hand: the modules of this package that hold a class of their kind."""
    declares = re.compile(r'^    kind: ClassVar\[str\] = "(\w+)"', re.MULTILINE)
    files = [path for folder in models.__path__ for path in Path(folder).glob("*.py")]
    return sorted(
        path.stem
        for path in files
        if path.stem in declares.findall(path.read_text(encoding="utf-8"))
    )


def find(kind: str) -> type[Any]:
    """The class of a model, imported only now; raises UnknownModel."""
    if kind not in kinds():
        raise UnknownModel(f"model must be one of {', '.join(kinds())}, got {kind!r}")
    module = importlib.import_module(f"models.{kind}")
    for value in vars(module).values():
        if isinstance(value, type) and value.__dict__.get("kind") == kind:
            return value
    raise UnknownModel(f"models/{kind}.py declares kind {kind!r} but holds no class of it")


def make(kind: str, parameters: Mapping[str, Any]) -> Scorer:
    """A model from its name and hyperparameters; names what is unknown and what there is."""
    model = find(kind)
    known = {field.name for field in dataclasses.fields(model) if field.init}
    for name in parameters:
        if name not in known:
            raise ModelError(
                f"{kind} has no hyperparameter {name!r}; it has {', '.join(sorted(known))}"
            )
    scorer: Scorer = model(**parameters)
    return scorer


def parameters(scorer: Scorer) -> dict[str, Any]:
    """Its hyperparameters by name, as `make` takes them."""
    fields = dataclasses.fields(scorer)  # type: ignore[arg-type]
    return {field.name: getattr(scorer, field.name) for field in fields if field.init}


def fitted(value: Learned | None, scorer: Scorer) -> Learned:
    """What a scorer learned; raises NotFitted where it has not yet."""
    if value is None:
        raise NotFitted(f"{scorer.kind} must be fitted or restored before it is asked, got neither")
    return value


def at_least(least: float, **values: float) -> None:
    """Raise ModelError for a hyperparameter below the least it may be, or not a number."""
    for name, value in values.items():
        if not value >= least:
            raise ModelError(f"{name} must be at least {least}, got {value}")


def above(bound: float, **values: float) -> None:
    """Raise ModelError for a hyperparameter that is not a finite number above a bound."""
    for name, value in values.items():
        if not bound < value < float("inf"):
            raise ModelError(f"{name} must be above {bound} and finite, got {value}")


def one_of(choices: tuple[str, ...], **values: str) -> None:
    """Raise ModelError for a hyperparameter that is none of the choices."""
    for name, value in values.items():
        if value not in choices:
            raise ModelError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


__all__ = [
    "Arrays",
    "Catalogue",
    "Codes",
    "Events",
    "Factored",
    "History",
    "ModelError",
    "NotFitted",
    "Scorer",
    "Scores",
    "UnknownModel",
    "Updatable",
    "above",
    "at_least",
    "find",
    "fitted",
    "kinds",
    "make",
    "needs",
    "one_of",
    "parameters",
]
