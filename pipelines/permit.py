"""Permit: a registered version in, what the gate last said of its run out."""

from __future__ import annotations

import json
from typing import Any

from pipelines.registry import Version
from pipelines.tracking import GATE, REASONS, Tracking

NEVER = "the gate never weighed it, `regulars publish --hold` asks"


def asked(tracking: Tracking, version: Version, *, override: bool) -> dict[str, Any]:
    """`decision`, its `reasons`, and whether they are `overridden`.

    decision: as `pipelines.gate.Decision.says`; what the gate never weighed is held.
    """
    tags = {} if version.run_id is None else tracking.get(version.run_id).tags
    decision = tags.get(GATE, "hold")
    if decision in ("held", "passed"):  # older words, which left what was published to `action`
        chosen = tags.get("regulars.action", "none") != "none"
        decision = "pass" if chosen or decision == "passed" else "hold"
    reasons = json.loads(tags[REASONS]) if REASONS in tags else [NEVER]
    past = override and decision == "hold"
    return {"decision": decision, "reasons": reasons, "overridden": past}


def refusal(version: Version, gate: dict[str, Any]) -> str | None:
    """Why a version may not serve; None where it may."""
    if gate["decision"] != "hold" or gate["overridden"]:
        return None
    named = f"version {version.number}, {version.tags['regulars.model']}"
    why = "; ".join(gate["reasons"])
    return f"the gate holds {named}: {why}. --because TEXT lets it serve all the same"
