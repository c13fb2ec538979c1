"""The command of the closed loop: policies in, whom they keep and who would have known it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.console import (
    WORKSPACE,
    JsonOption,
    SetOption,
    WorkspaceOption,
    command,
    job,
    table,
)


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
    page: Annotated[Path | None, typer.Option("--out", help="Write the result as a page.")] = None,
    json: JsonOption = None,
) -> None:
    """Let customers of shops that never were react to policies: who keeps them, and who knew it.

    Where the workspace has a shop, the figures and a page are a run of its tracking too.

    Example: regulars simulate --policies popular,als,blend --runs 5
    """
    with command(workspace, json) as out:
        from features.artifact import write_text
        from pipelines import simulate as simulating
        from pipelines import simulate_page as telling

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
        *compared, best = telling.gains(done)
        out.show(table(*telling.kept(done)), *compared, f"[bold]{best}[/bold]\n")
        out.show(table(*telling.judged(done)))
        out.show(*telling.refused(done))
        if page is not None:
            write_text(page, telling.page(done))
            out.show(f"page: {page}")
        done["run_id"] = None
        if out.workspace.shop_file.exists():
            from pipelines import experiment_runs

            done["run_id"] = experiment_runs.track_simulation(
                job(out).tracking, done, telling.page(done)
            )
        out.done(done)
