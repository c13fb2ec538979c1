"""Activation rules: `[activation]` of a shop's TOML in, whom a campaign may contact out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from features.schemas import CHANNELS


class ActivationError(RuntimeError):
    """A campaign that cannot be made or measured.

    ActivationError
    └── NoConsents      consent is required, and the shop has told of none (activation_channels)
    """


Stage = Literal["new", "active", "cooling", "at_risk", "lapsed"]
Share = Annotated[float, Field(ge=0, le=1)]


class Activation(BaseModel):
    """`[activation]`: who is worth a contact, by what way, how many, and who is held out.

    holdout: the share of those chosen who are not contacted, so that the effect can be measured;
        it cannot be nothing. budget: contacts a campaign at most; none: no limit. rest_days: who
        was chosen, contacted or held out, is left in peace for so long; not less than
        `horizon_days`, for so long outcomes count, or two campaigns would share them.
    consent: `required`, a customer without a yes for a channel is not contacted by it, or
        `assumed`, only a no counts. channels: the ways the shop can contact, the first where she
        has no habit.
    stages: whom to think of; the others come anyway. hope: below this probability of being a
        customer still, she is beyond it. cost: of a contact, in the shop's currency; what is
        expected to bring less is not sent. assumed_effect: until past hold-outs have taught
        better, the share of what a customer no longer spends that a contact brings back.
    products: how many to show; of one category at most `per_category`. valid_days: how long a line
        of the list may be used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    holdout: Annotated[float, Field(le=0.9)] = 0.1
    budget: int | None = None
    horizon_days: Annotated[int, Field(ge=1, le=365)] = 28
    rest_days: Annotated[int, Field(ge=1, le=730)] = 28
    consent: Literal["required", "assumed"] = "required"
    channels: tuple[str, ...] = ("email", "app", "call_center")
    stages: tuple[Stage, ...] = ("cooling", "at_risk", "lapsed")
    hope: Share = 0.05
    cost: Annotated[float, Field(ge=0)] = 0.0
    assumed_effect: Annotated[float, Field(gt=0, le=1)] = 0.05
    products: Annotated[int, Field(ge=1, le=50)] = 5
    per_category: Annotated[int, Field(ge=1, le=50)] = 2
    valid_days: Annotated[int, Field(ge=1, le=90)] = 7

    @field_validator("holdout")
    @classmethod
    def _held_out(cls, share: float) -> float:
        if share < 0.01:
            raise ValueError("at least 0.01 are held out: without them no effect can be measured")
        return share

    @field_validator("budget")
    @classmethod
    def _some(cls, budget: int | None) -> int | None:
        if budget is not None and budget < 1:
            raise ValueError("want at least 1 contact a campaign, or no budget for no limit")
        return budget

    @field_validator("channels")
    @classmethod
    def _known(cls, channels: tuple[Any, ...]) -> tuple[Any, ...]:
        if not channels or (strange := [one for one in channels if one not in CHANNELS]):
            wrong = strange[0] if channels else "none"
            raise ValueError(f"want at least one of {', '.join(CHANNELS)}; {wrong!r} is not")
        return channels

    @model_validator(mode="after")
    def _apart(self) -> Activation:
        if self.rest_days < self.horizon_days:
            raise ValueError(
                f"rest_days must be at least horizon_days ({self.horizon_days}), got "
                f"{self.rest_days}: else a customer's outcome would belong to two campaigns"
            )
        return self
