"""Settings: one TOML a shop, presets and overrides in, one frozen `Shop` out.

SettingsError says the file, the path to the key, what it was and what is wanted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from features.parameters import FeatureParameters
from models import scorer, surfaces
from pipelines.activation_rules import Activation
from pipelines.experiments import Experiment, check_layers

MODELS: dict[str, dict[str, Any]] = {"popularity": {}, "neighbours": {}, "als": {}, "bpr": {}}
METRICS = ("ndcg", "recall", "hit_rate", "map", "mrr", "revenue", "repeat_hit_rate", "new_hit_rate")
BASELINE = "popularity"
Share = Annotated[float, Field(ge=0, le=1)]


class SettingsError(ValueError):
    """A configuration that cannot be read."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Section):
    """`[shop]`: the name that experiments, registered model and bundles bear."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    currency: str = ""


class Ingest(_Section):
    """`[ingest]`: where the shop's files are and what their columns mean.

    mapping: a packaged mapping's name, or the path of a mapping's TOML, or the mapping itself.
    input: the events' file, folder or glob; with `tables`, the folder that holds them.
    tables: for each table its file, folder or glob below `input`.
    """

    mapping: str | dict[str, Any]
    input: str | None = None
    tables: dict[str, str] = {}


class Judge(_Section):
    """`[judge]`: the backtest. customers: at most so many are judged a fold, a seeded sample."""

    horizon_days: Annotated[int, Field(ge=1)] = 28
    folds: Annotated[int, Field(ge=1, le=24)] = 2
    k: Literal[10] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    metric: str = "ndcg_at_10"
    customers: Annotated[int, Field(ge=1)] = 20_000
    resamples: Annotated[int, Field(ge=100)] = 1_000

    @model_validator(mode="after")
    def _known(self) -> Judge:
        if self.metric not in (known := [f"{name}_at_{self.k}" for name in METRICS]):
            raise ValueError(f"metric must be one of {', '.join(known)}, got {self.metric!r}")
        return self


class Recommend(_Section):
    """`[recommend]`: what a list may hold. length: how many are ranked at publish time."""

    seen: Literal["drop", "keep"] = "drop"
    length: Annotated[int, Field(ge=10, le=1_000)] = 100


class Slices(_Section):
    """`[gate.slices]`: by what share of its own figure no kind of customer may surely lose."""

    lifecycle_stage: Share = 0.05
    history_length: Share = 0.05
    channel: Share = 1.0
    category: Share = 1.0


class Gate(_Section):
    """`[gate]`: when a candidate may serve. minimum_gain: relative, .02 is two per cent.

    Guardrails, against what serves: the relative loss tolerated in each slice's values, in
    coverage and in revenue, and the rise of the suppliers' gini; whatever serves: the share of
    customers whose list needs the fallback, and the time that a list takes. 1 tolerates all.
    """

    minimum_gain: Annotated[float, Field(ge=0)] = 0.02
    minimum_interactions: Annotated[int, Field(ge=0)] = 1_000
    minimum_repeat_customers: Annotated[int, Field(ge=0)] = 25
    slices: Slices = Slices()
    revenue: Share = 0.05
    coverage: Share = 0.5
    suppliers: Share = 0.1
    fallback_share: Share = 0.2
    milliseconds_per_list: Annotated[float, Field(gt=0)] | None = None


class TrackingServer(_Section):
    """`[tracking]`: an MLflow server's URL; without one, SQLite in the workspace."""

    uri: str | None = None


class Between(_Section):
    """A range to search: from low to high, evenly or evenly in its logarithm."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Between:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"want low < high, above 0 for log; got {self.low} and {self.high}")
        return self


Space = dict[str, list[Any] | Between]


class Shop(_Section):
    """All settings of one shop."""

    shop: Identity
    ingest: Ingest
    features: FeatureParameters = FeatureParameters.model_validate({})
    models: dict[str, dict[str, Any]] = MODELS
    judge: Judge = Judge()
    recommend: Recommend = Recommend()
    gate: Gate = Gate()
    tracking: TrackingServer = TrackingServer()
    search: dict[str, Space] = {}
    experiments: dict[Annotated[str, Field(pattern=r"^[\w-]{1,64}$")], Experiment] = {}
    surfaces: dict[str, Any] = {}
    activation: Activation = Activation()

    @property
    def name(self) -> str:
        """The shop's name."""
        return self.shop.name

    def recipe(self, model: str) -> tuple[str, dict[str, Any]]:
        """The kind and all hyperparameters, defaults included, of one of its models.

        A kind that the shop doesn't list has its defaults.
        """
        known = [*self.models, *(kind for kind in scorer.kinds() if kind not in self.models)]
        if model not in known:
            raise SettingsError(f"model must be one of {', '.join(known)}, got {model!r}")
        values = dict(self.models.get(model, {}))
        kind = str(values.pop("kind", model))
        return kind, scorer.parameters(scorer.make(kind, values))

    @model_validator(mode="after")
    def _models(self) -> Shop:
        if BASELINE not in self.models:
            raise ValueError(f"models must hold {BASELINE}, which all others are judged against")
        for name, values in self.models.items():
            _check_model(name, values)
        check_layers(self.experiments)
        surfaces.read(self.surfaces)
        for name in self.search:
            if name not in self.models:
                raise ValueError(
                    f"search.{name} names no model; there are {', '.join(self.models)}"
                )
        return self


def presets() -> list[str]:
    """Names of the packaged shops."""
    found = resources.files("pipelines").joinpath("shops").iterdir()
    return sorted(entry.name[:-5] for entry in found if entry.name.endswith(".toml"))


def preset(name: str) -> str:
    """The text of a packaged shop."""
    if name not in presets():
        raise SettingsError(f"mapping must be one of {', '.join(presets())}, got {name!r}")
    return resources.files("pipelines").joinpath("shops", f"{name}.toml").read_text("utf-8")


def read(
    text: str, *, source: str, found: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> Shop:
    """A shop from TOML; later wins: the text, then `found`, then `overrides` (`a.b.c=VALUE`)."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source} is not TOML: {error}") from error
    for model, parameters in (found or {}).items():
        if model in values.get("models", MODELS):
            values.setdefault("models", {k: dict(v) for k, v in MODELS.items()})
            values["models"][model] = {**values["models"][model], **parameters}
    for override in overrides:
        _override(values, override)
    try:
        return Shop.model_validate(values)
    except ValidationError as error:
        lines = [_line(e["loc"], e["msg"], e.get("input"), e["type"]) for e in error.errors()]
        raise SettingsError(f"{source}: " + "; ".join(lines)) from error


def moment(text: str) -> datetime:
    """A time with its zone from ISO text; raises SettingsError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"want an ISO time such as 2011-12-09T12:50:00+00:00, got {text!r}"
        ) from error
    if time.tzinfo is None:
        raise SettingsError(f"a time needs its zone, such as {text}+00:00; got {text!r}")
    return time


def _override(values: dict[str, Any], override: str) -> None:
    """Set one `path.to.key=VALUE`; VALUE is TOML, and a bare word is a string."""
    path, sign, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not sign or not all(re.fullmatch(r"[\w-]+", key) for key in keys):
        raise SettingsError(f"--set wants path.to.key=VALUE, got {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    if keys[0] == "models":
        values.setdefault("models", {k: dict(v) for k, v in MODELS.items()})
    inner = values
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"--set {path}: {key} is a value, not a section")
    inner[keys[-1]] = value


def _check_model(name: str, values: Mapping[str, Any]) -> None:
    """Raise ValueError where a model's hyperparameters are unknown, mistyped or out of range."""
    kind = values.get("kind", name)
    given = {key: value for key, value in values.items() if key != "kind"}
    try:
        hints = get_type_hints(scorer.find(str(kind)))
        for key, value in given.items():
            if key in hints:
                TypeAdapter(hints[key]).validate_python(value, strict=True)
        scorer.make(str(kind), given)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise ValueError(f"models.{name}.{key}: {said}, got {value!r}") from error
    except ValueError as error:
        raise ValueError(f"models.{name}: {error}") from error


def _line(place: tuple[int | str, ...], message: str, value: Any, kind: str) -> str:
    """One fault in words: the path to the key, what is wrong, what it was."""
    path = ".".join(str(part) for part in place) or "settings"
    if kind == "extra_forbidden":
        return f"{path} is no setting"
    if kind == "missing":
        return f"{path} is missing"
    message = message.removeprefix("Value error, ")
    return message if path == "settings" else f"{path}: {message}, got {value!r}"
