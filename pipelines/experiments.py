"""Experiments: `[experiments.NAME]` or a table's description in, frozen settings out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from features.assignment import HOLDOUT, Plan, clashes

INTERLEAVED = "interleaved"  # the arm of an answer that showed nothing of either ranker
Metric = Literal["conversion", "revenue", "orders", "return"]
Share = Annotated[float, Field(gt=0, lt=1)]
Tolerance = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Serve(_Section):
    """`serve.ARM`: what an arm gets that the control does not; None: what everybody gets.

    bundle: a pointer's name in `bundles/`, such as `candidate`, or a bundle's id. surface: the
    surface whose configuration is used in the place of the one asked for.
    """

    bundle: Annotated[str, Field(pattern="^[0-9A-Za-z][0-9A-Za-z_-]*$")] | None = None
    surface: Annotated[str, Field(pattern="^[a-z0-9_-]{1,40}$")] | None = None


class Experiment(_Section):
    """`[experiments.NAME]`: a live test; the server reads the same (`serving.trials.plans`).

    arms: name -> share, the control first; they sum to 1. traffic: the part of its layer that takes
    part. holdout: the share of all the shop's units that no test touches. horizon_days: for how
    long after she was first shown the test a customer's outcomes count. minimum_effect: the
    relative gain that would be worth the change. guardrails: metric -> the relative loss that is
    tolerated. end: when the last unit may enter; without it an always-valid interval is read.
    serve: what arms get; by default nothing differs. interleave: every unit gets one list that both
    arms' rankers drafted. cap_revenue: a customer's revenue counts up to this quantile of all.
    """

    arms: dict[str, Share]
    start: AwareDatetime
    end: AwareDatetime | None = None
    surfaces: tuple[str, ...] = ()
    salt: str = ""
    layer: str = "default"
    traffic: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
        0.0,
        1.0,
    )
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    metric: Metric = "conversion"
    horizon_days: Annotated[int, Field(ge=1, le=365)] = 14
    minimum_effect: Annotated[float, Field(ge=0)] = 0.0
    guardrails: dict[Metric, Tolerance] = {}
    serve: dict[str, Serve] = {}
    interleave: bool = False
    cap_revenue: Annotated[float, Field(ge=0.5, lt=1)] | None = None

    @field_validator("start", "end")
    @classmethod
    def _utc(cls, moment: datetime | None) -> datetime | None:
        return None if moment is None else moment.astimezone(UTC)

    @model_validator(mode="after")
    def _whole(self) -> Experiment:
        if len(self.arms) < 2:
            raise ValueError(f"want a control and at least one other arm, got {len(self.arms)} arm")
        for name, means in ((HOLDOUT, "what no test touches"), (INTERLEAVED, "both arms in one")):
            if name in self.arms:
                raise ValueError(f"{name} is the name of {means}; name the arm otherwise")
        if abs(sum(self.arms.values()) - 1) > 1e-6:
            raise ValueError(f"the arms' shares must sum to 1, got {sum(self.arms.values()):g}")
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end must come after start, got {self.start} and {self.end}")
        if not self.traffic[0] < self.traffic[1]:
            raise ValueError(
                f"traffic wants from < to, got {self.traffic[0]} and {self.traffic[1]}"
            )
        arms = list(self.arms)
        for arm, serve in self.serve.items():
            if arm not in arms[1:]:
                raise ValueError(
                    f"serve.{arm} must be of {', '.join(arms[1:])}: the control gets what all get"
                )
            if serve == Serve():
                raise ValueError(f"serve.{arm} wants a bundle, a surface or both")
        if self.interleave and (len(arms) != 2 or self.arms[arms[0]] != self.arms[arms[1]]):
            raise ValueError("interleave wants exactly two arms of 0.5 each")
        return self

    @property
    def control(self) -> str:
        """The arm that all others are compared with: the first."""
        return next(iter(self.arms))

    def plan(self, name: str) -> Plan:
        """What assignment needs of it."""
        return Plan(
            name=name,
            arms=tuple(self.arms.items()),
            start=self.start,
            end=self.end,
            surfaces=frozenset(self.surfaces),
            salt=self.salt,
            layer=self.layer,
            traffic=self.traffic,
            holdout=self.holdout,
        )


class External(_Section):
    """A finished test of somebody else's: one table, a row a unit, described.

    Outcomes are numbers or booleans, one value a unit. covariates: columns known before the test,
    numbers or words; they reduce variance and check that the arms were alike before. shares: by
    default all alike. decides: the outcome that the verdict rests on, by default the first.
    """

    arm: str
    control: str
    outcomes: Annotated[tuple[str, ...], Field(min_length=1)]
    unit: str | None = None
    covariates: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    shares: dict[str, Annotated[float, Field(gt=0)]] = {}
    decides: str | None = None
    minimum_effect: Annotated[float, Field(ge=0)] = 0.0
    guardrails: dict[str, Tolerance] = {}

    @model_validator(mode="after")
    def _known(self) -> External:
        for name in (*self.guardrails, *((self.decides,) if self.decides else ())):
            if name not in self.outcomes:
                raise ValueError(f"{name} is none of the outcomes {', '.join(self.outcomes)}")
        if both := set(self.outcomes) & {*self.covariates, *self.slices, self.arm}:
            raise ValueError(f"{', '.join(sorted(both))} cannot be an outcome and known before")
        return self

    @property
    def metric(self) -> str:
        """The outcome that decides."""
        return self.decides or self.outcomes[0]


def check_layers(experiments: Mapping[str, Experiment]) -> None:
    """Raise ValueError where two tests of a layer would meet the same units at the same time."""
    for one, other in clashes(value.plan(name) for name, value in experiments.items()):
        raise ValueError(
            f"experiments.{one} and experiments.{other} share units of layer "
            f"{experiments[one].layer!r} at the same time: give each its own part as traffic, such "
            "as [0.0, 0.5] and [0.5, 1.0], or another layer"
        )
    salts: dict[str, str] = {}
    for name, value in experiments.items():
        twin = salts.setdefault(value.salt or name, name)
        if twin != name:
            raise ValueError(f"experiments.{twin} and experiments.{name} have the same salt")
