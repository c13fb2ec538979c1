"""Parameters of the feature tables: what an event weighs, how it ages, when a customer lapses."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Weights(BaseModel):
    """What one event weighs in `interactions.weight`.

    A purchase weighs as much as was kept of it: its weight shrinks by the share of the bought
    units that came back. So a refund needs no weight of its own, and no pair's falls below zero.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    view_item: float = Field(default=1.0, ge=0, le=1000)
    add_to_cart: float = Field(default=3.0, ge=0, le=1000)
    add_to_wishlist: float = Field(default=2.0, ge=0, le=1000)
    purchase: float = Field(default=5.0, ge=0, le=1000)


class Stages(BaseModel):
    """A customer's stage: days since the last order, counted in her own usual gaps.

    Her gap is her average over (orders - 1) gaps, shrunk towards the shop's median as if she had
    `shop_gaps` gaps of that length more; with fewer than `own_orders` orders it is the shop's,
    and `fallback_days` in a shop where nobody has come back yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    new: float = Field(default=1.0, gt=0)
    active: float = Field(default=1.5, gt=0)
    cooling: float = Field(default=3.0, gt=0)
    at_risk: float = Field(default=6.0, gt=0)
    own_orders: int = Field(default=3, ge=2)
    shop_gaps: float = Field(default=2.0, ge=0)
    fallback_days: float = Field(default=28.0, gt=0)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.new <= self.active < self.cooling < self.at_risk:
            raise ValueError(
                "limits must rise from new over active and cooling to at_risk, "
                f"got {self.new}, {self.active}, {self.cooling}, {self.at_risk}"
            )
        return self


class FeatureParameters(BaseModel):
    """Everything that shapes the feature tables besides the events; part of a snapshot's id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Weights = Weights()
    half_life_days: float = Field(default=180.0, ge=0.25, le=36_500)
    stages: Stages = Stages()
