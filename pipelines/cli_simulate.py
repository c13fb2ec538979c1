"""The command of the closed loop: policies in, whom they keep and who would have known it out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipelines.console import (
    WORKSPACE,
    JsonOption,
    SetOption,
    WorkspaceOption,
    command,
    table,
)

JUDGES = {
    "offline": "offline ndcg@10 on the log before",
    "off_policy": "off-policy estimate from an exploring log",
    "live": "live test, one arm a policy",
}


def simulate(
    policies: Annotated[
        str, typer.Option(help="Models, by name or kind, with commas; the first is the control.")
    ] = "popular,als,blend",
    customers: Annotated[int, typer.Option(min=50, max=20_000, help="Of each shop.")] = 2_000,
    days: Annotated[int, typer.Option(min=2, max=730, help="How long each policy serves.")] = 90,
    seed: Annotated[int, typer.Option(min=0, help="The first shop's; the next ones follow.")] = 0,
    runs: Annotated[int, typer.Option(min=1, max=100, help="Shops to simulate.")] = 5,
    workspace: WorkspaceOption = WORKSPACE,
    set_: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Let customers of shops that never were react to policies: who keeps them, and who knew it.

    Example: regulars simulate --policies popular,als,blend --runs 5
    """
    with command(workspace, json) as out:
        from pipelines import simulate as simulating

        names = [name.strip() for name in policies.split(",") if name.strip()]
        done = simulating.run(
            out.workspace.root / "simulate",
            names,
            customers=customers,
            days=days,
            seed=seed,
            runs=runs,
            overrides=set_ or (),
        )
        rows = [
            [
                name,
                _share(one["retained"]),
                _money(one["revenue"]),
                _share(one["bought"], interval=False),
                _plain(one["supplier_gini"]),
                _share(one["supplier_top"], interval=False),
            ]
            for name, one in done["figures"].items()
        ]
        heads = [
            "policy",
            f"still customers\nafter {days} days>",
            "revenue\na customer>",
            "lists\nbought from>",
            "suppliers'\ngini>",
            "top tenth of\nsuppliers>",
        ]
        title = f"{done['customers']:,} customers in each of {runs} shops; means with 95 %"
        out.show(table(title, heads, rows))
        for name, gain in done["gains"].items():
            out.show(f"{name} keeps {_points(gain)} more than {names[0]}")
        out.show(f"[bold]{done['best']} keeps most.[/bold]\n")
        rows = [
            [
                JUDGES[judge],
                ", ".join(f"{name} {count}" for name, count in one["chosen"].items()),
                f"{one['right']} of {runs}",
                _points(one["regret"]),
            ]
            for judge, one in done["judges"].items()
        ]
        out.show(table("", ["judge", "chose", "right>", "customers lost by it>"], rows))
        for judge, one in done["judges"].items():
            if one["refused"]:
                said = next(run["refused"] for run in done["runs"] if run["refused"])
                out.show(
                    f"{JUDGES[judge]}: no answer in {one['refused']} of {runs}, so {names[0]} "
                    f"stays: {said}"
                )
        out.done(done)


def _share(one: dict[str, Any], *, interval: bool = True) -> str:
    if one["mean"] is None:
        return "–"
    shown = f"{one['mean']:.1%}"
    if interval and one["low"] is not None:
        shown += f"\n{one['low']:.1%} to {one['high']:.1%}"
    return shown


def _money(one: dict[str, Any]) -> str:
    shown = f"{one['mean']:,.1f}"
    return shown if one["low"] is None else f"{shown}\n{one['low']:,.1f} to {one['high']:,.1f}"


def _plain(one: dict[str, Any]) -> str:
    if one["mean"] is None:
        return "–"
    shown = f"{one['mean']:.2f}"
    return shown if one["low"] is None else f"{shown}\n{one['low']:.2f} to {one['high']:.2f}"


def _points(one: dict[str, Any]) -> str:
    """A difference of shares in percentage points."""
    shown = f"{100 * one['mean']:.1f} points"
    if one["low"] is None:
        return shown
    return f"{shown} ({100 * one['low']:.1f} to {100 * one['high']:.1f})"
