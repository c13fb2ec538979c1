"""Plans: the shop's `[experiments]` in, the tests that a unit is in, here and now, out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from features.assignment import HOLDOUT, Plan, assign, clashes

INTERLEAVED = "interleaved"  # the arm of a unit that gets both rankers' picks in one list
KEPT = 50_000  # units a surface whose tests are kept at hand
NAME = r"^[\w-]{1,64}$"

Share = Annotated[float, Meta(gt=0, lt=1)]
Part = Annotated[float, Meta(ge=0, le=1)]
Tolerance = Annotated[float, Meta(ge=0, lt=1)]
Moment = Annotated[datetime, Meta(tz=True)]
Metric = Literal["conversion", "revenue", "orders", "return"]


class Serve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an arm gets that the control does not; None: what everybody gets.

    bundle: a pointer's name in the folder of bundles, such as `candidate`, or a bundle's id.
    surface: the surface whose configuration is used in the place of the one asked for.
    """

    bundle: Annotated[str, Meta(pattern="^[0-9A-Za-z][0-9A-Za-z_-]*$")] | None = None
    surface: Annotated[str, Meta(pattern="^[a-z0-9_-]{1,40}$")] | None = None


class Assigned(msgspec.Struct, frozen=True, omit_defaults=True):
    """A unit's place in one test: what the answer says, the exposure logs, and what to serve.

    arm: the arm's name, `holdout`, or `interleaved`. teams: both arms with what they serve, the
    control first, where the test is interleaved; then `serve` is empty.
    """

    experiment: str
    arm: str
    serve: Serve = Serve()
    teams: tuple[tuple[str, Serve], tuple[str, Serve]] | None = None


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[experiments.NAME]` as `pipelines.experiments` has it; the last block is the report's."""

    arms: dict[str, Share]
    start: Moment
    end: Moment | None = None
    surfaces: tuple[str, ...] = ()
    salt: str = ""
    layer: str = "default"
    traffic: tuple[Part, Part] = (0.0, 1.0)
    holdout: Tolerance = 0.0
    serve: dict[str, Serve] = {}
    interleave: bool = False

    metric: Metric = "conversion"
    horizon_days: Annotated[int, Meta(ge=1, le=365)] = 14
    minimum_effect: Annotated[float, Meta(ge=0)] = 0.0
    guardrails: dict[Metric, Tolerance] = {}
    cap_revenue: Annotated[float, Meta(ge=0.5, lt=1)] | None = None

    def plan(self, name: str) -> Plan:
        """What assignment needs of it."""
        return Plan(
            name,
            tuple(self.arms.items()),
            self.start.astimezone(UTC),
            None if self.end is None else self.end.astimezone(UTC),
            frozenset(self.surfaces),
            self.salt,
            self.layer,
            self.traffic,
            self.holdout,
        )

    def assigned(self, name: str, arm: str) -> Assigned:
        """A unit of an arm, with what that means for her answer."""
        if arm == HOLDOUT:
            return Assigned(name, arm)
        if self.interleave:
            a, b = ((one, self.serve.get(one, Serve())) for one in self.arms)
            return Assigned(name, INTERLEAVED, Serve(), (a, b))
        return Assigned(name, arm, self.serve.get(arm, Serve()))


class Plans:
    """The declared tests, and for each unit those that she is in; one event loop's own.

    experiments: by name, as declared. bundles: every bundle that some arm wants.
    """

    def __init__(self, experiments: Mapping[str, Experiment] = {}) -> None:
        self.experiments = dict(experiments)
        serves = [one for test in self.experiments.values() for one in test.serve.values()]
        self.bundles = frozenset(one.bundle for one in serves if one.bundle)
        self._named = frozenset(
            surface for test in self.experiments.values() for surface in test.surfaces
        )
        self._since = self._until = -math.inf  # while `_running` and `_kept` hold
        self._running: tuple[Plan, ...] = ()
        self._kept: dict[str | None, dict[str, tuple[Assigned, ...]]] = {}

    def assigned(self, unit: str, surface: str, now: float) -> tuple[Assigned, ...]:
        """Every test that the unit is in at this moment (unix seconds), on this surface."""
        if not self._since <= now < self._until:
            self._turn(now)
        if not self._running:
            return ()
        here = surface if surface in self._named else None
        kept = self._kept[here]
        found = kept.get(unit)
        if found is None:
            at = datetime.fromtimestamp(now, UTC)
            found = tuple(
                self.experiments[one.experiment].assigned(one.experiment, one.arm)
                for one in assign(self._running, unit, at=at, surface=surface)
            )
            if len(kept) >= KEPT:
                kept.clear()
            kept[unit] = found
        return found

    def without(self, missing: Iterable[str]) -> Plans:
        """The same, less the tests of which an arm wants a bundle that is missing.

        Half a test is none: an arm that got the control's bundle would hide the difference.
        """
        gone = frozenset(missing)
        return Plans(
            {
                name: test
                for name, test in self.experiments.items()
                if gone.isdisjoint(one.bundle for one in test.serve.values())
            }
        )

    def _turn(self, now: float) -> None:
        """Find what runs now and until when that stays so."""
        plans = [test.plan(name) for name, test in self.experiments.items()]
        times = [plan.start.timestamp() for plan in plans]
        times += [plan.end.timestamp() for plan in plans if plan.end is not None]
        self._since = max((time for time in times if time <= now), default=-math.inf)
        self._until = min((time for time in times if time > now), default=math.inf)
        at = datetime.fromtimestamp(now, UTC)
        self._running = tuple(plan for plan in plans if plan.runs(at))
        self._kept = {here: {} for here in (*self._named, None)}


def served(assigned: tuple[Assigned, ...]) -> Serve:
    """What all tests of a unit together want for her; of two that want another, the first wins."""
    bundle = next((one.serve.bundle for one in assigned if one.serve.bundle), None)
    surface = next((one.serve.surface for one in assigned if one.serve.surface), None)
    return Serve(bundle, surface)


def read(shop: Mapping[str, Any]) -> Plans:
    """The tests that a shop's TOML declares; raises ValueError that names the path to the key."""
    section = shop.get("experiments", {})
    if not isinstance(section, Mapping):
        raise ValueError(f"experiments must be a table, got {section!r}")
    experiments = {}
    for name, values in section.items():
        path = f"experiments.{name}"
        try:
            msgspec.convert(name, Annotated[str, Meta(pattern=NAME)])
            experiments[name] = msgspec.convert(values, Experiment)
        except msgspec.ValidationError as error:
            raise ValueError(f"{path}{_told(values, error)}") from None
        fault = _fault(experiments[name])
        if fault:
            raise ValueError(f"{path}{fault}")
    plans = {name: test.plan(name) for name, test in experiments.items()}
    for one, other in clashes(plans.values()):
        raise ValueError(f"experiments.{one} and experiments.{other} share units of a layer")
    salts: dict[str, str] = {}
    for name, test in experiments.items():
        if (twin := salts.setdefault(test.salt or name, name)) != name:
            raise ValueError(f"experiments.{twin} and experiments.{name} have the same salt")
    return Plans(experiments)


def _told(values: Any, error: msgspec.ValidationError) -> str:
    """The rest of the path, what is wanted there, and what there is."""
    said, _, place = str(error).partition(" - at `$.")
    place = place.rstrip("`")
    if "unknown field" in said:
        return "".join(f".{key}" for key in (place, said.split("`")[1]) if key) + " is no setting"
    section, _, rest = place.partition("[...]")
    if rest or place.endswith("[...]"):  # msgspec does not say which key of a table it was
        for key, value in values[section].items():
            try:
                msgspec.convert({**values, section: {key: value}}, Experiment)
            except msgspec.ValidationError:
                place = f"{section}.{key}{rest}"
                break
    got: Any = values
    for key in place.split(".") if place else ():
        got = got.get(key) if isinstance(got, Mapping) else got
    want = said[:1].lower() + said[1:]
    return f".{place}: {want}, got {got!r}" if place else f": {want}"


def _fault(test: Experiment) -> str | None:
    """What makes no sense in a test whose every value alone is right, its key first."""
    arms = list(test.arms)
    if len(arms) < 2:
        return f".arms: want a control and at least one other arm, got {len(arms)} arm"
    for name in (HOLDOUT, INTERLEAVED):
        if name in test.arms:
            return f".arms: {name} means something else; name the arm otherwise"
    if abs(sum(test.arms.values()) - 1) > 1e-6:
        return f".arms: shares must sum to 1, got {sum(test.arms.values()):g}"
    if test.end is not None and test.end <= test.start:
        return f".end must come after start, got {test.start} and {test.end}"
    if not test.traffic[0] < test.traffic[1]:
        return f".traffic wants from < to, got {test.traffic[0]} and {test.traffic[1]}"
    for arm, serve in test.serve.items():
        if arm not in arms[1:]:
            return f".serve.{arm} must be of {', '.join(arms[1:])}: the control gets what all get"
        if serve == Serve():
            return f".serve.{arm} wants a bundle, a surface or both"
    if test.interleave and (len(arms) != 2 or test.arms[arms[0]] != test.arms[arms[1]]):
        return ".interleave wants exactly two arms of 0.5 each"
    return None
