"""Commands on live tests: logs or a table in, a verdict that can be trusted out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.console import (
    WORKSPACE,
    AsOfOption,
    JsonOption,
    Out,
    SetOption,
    ShopOption,
    WorkspaceOption,
    command,
    job,
    now,
    table,
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
ExposuresOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What was shown: parquet or CSV; default: the server's, WORKSPACE/exposures."
    ),
]
OutcomesOption = Annotated[
    list[str] | None,
    typer.Option(help="What happened, before and after: parquet or CSV; default: ingested events."),
]
PageOption = Annotated[Path | None, typer.Option("--out", help="Write the report as a page.")]


@app.callback()
def experiment() -> None:
    """Read a live test: may it be believed, what did it do, and what follows.

    Example: regulars experiment report new-home
    """


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="The test's name, as in [experiments.NAME].")],
    exposures: ExposuresOption = None,
    outcomes: OutcomesOption = None,
    external: Annotated[
        Path | None, typer.Option("--table", help="Somebody else's test: a table, a row a unit.")
    ] = None,
    described: Annotated[
        Path | None, typer.Option("--described", help="What that table's columns are, as TOML.")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Its column of arms.")] = None,
    control: Annotated[str | None, typer.Option(help="Its arm without the change.")] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(help="Its column of an outcome, the first decides.")
    ] = None,
    covariate: Annotated[
        list[str] | None, typer.Option(help="Its column of something known before.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--slice", help="Its column to slice by, known before.")
    ] = None,
    page: PageOption = None,
    show: Annotated[
        bool, typer.Option("--show-anyway", help="Show outcomes though a check failed.")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Check a test, then say what it did: ship, hold or fail, with reasons.

    Example: regulars experiment report new-home
    """
    if external is not None and (exposures or outcomes):
        raise typer.BadParameter("want --exposures and --outcomes, or --table")
    with command(workspace, json) as out:
        from features.artifact import write_text
        from pipelines import experiment as testing
        from pipelines import experiment_logs, experiment_page, experiment_tables, settings
        from pipelines import experiment_runs as runs
        from pipelines import report as pages

        known = shop is not None or out.workspace.shop_file.exists()
        work = job(out, shop=shop, overrides=set_) if known or external is None else None
        gathered = None
        if external is None:
            assert work is not None
            experiment_tables.find(work.shop, name)
            when = None if as_of is None else settings.moment(as_of)
            logs = experiment_logs.logs(out.workspace, exposures, outcomes, as_of=when or now())
            trial, gathered = experiment_tables.logged(
                work.shop, name, *logs, now=now(), as_of=when
            )
        else:
            flags: dict[str, Any] = {
                "arm": arm, "control": control, "outcomes": outcome, "covariates": covariate,
                "slices": by,
            }  # fmt: skip
            trial = experiment_tables.external(name, external, described, flags)
        record = testing.read(trial, gathered=gathered, show=show)
        _show(out, record)
        made = experiment_page.page(record)
        if page is not None:
            write_text(page, made)
        if work is not None:
            kept = pages.keep(out.workspace, f"experiment-{name}", made)
        if page is not None or work is not None:
            out.show(f"page: {page or kept}")
        record["run_id"] = None if work is None else runs.track(work.tracking, record, trial.units)
        out.done(record)


@app.command()
def interleaved(
    name: Annotated[str, typer.Argument(help="The test's name, as in [experiments.NAME].")],
    exposures: ExposuresOption = None,
    outcomes: OutcomesOption = None,
    page: PageOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Say which of two rankers customers prefer that drafted their lists together.

    Example: regulars experiment interleaved new-ranking
    """
    with command(workspace, json) as out:
        from features.artifact import write_text
        from pipelines import experiment_interleaved as both
        from pipelines import experiment_logs, experiment_preferred, experiment_tables, settings
        from pipelines import experiment_runs as runs

        work = job(out, shop=shop, overrides=set_)
        experiment = experiment_tables.find(work.shop, name)
        when = None if as_of is None else settings.moment(as_of)
        logs = experiment_logs.logs(out.workspace, exposures, outcomes, as_of=when or now())
        try:
            record = both.read(name, experiment, *logs, now=now(), as_of=when)
        except ValueError as error:
            raise settings.SettingsError(f"experiment {name}: {error}") from error
        _show(out, record)
        if page is not None:
            write_text(page, experiment_preferred.page(record))
            out.show(f"page: {page}")
        record["run_id"] = runs.track_interleaved(work.tracking, record)
        out.done(record)


@app.command("list")
def every(
    workspace: WorkspaceOption = WORKSPACE,
    shop: ShopOption = None,
    set_: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Show the declared tests: which run, and how many units were shown each so far.

    Example: regulars experiment list
    """
    with command(workspace, json) as out:
        from pipelines import experiment_logs

        work = job(out, shop=shop, overrides=set_)
        found = experiment_logs.declared(out.workspace, work.shop.experiments, now=now())
        rows = [
            [
                one["experiment"],
                one["state"],
                f"{one['start']:%Y-%m-%d}",
                "–" if one["end"] is None else f"{one['end']:%Y-%m-%d}",
                ", ".join(one["surfaces"]) or "all",
                one["units"],
                ", ".join(f"{arm} {units:,}" for arm, units in one["arms"].items()),
            ]
            for one in found
        ]
        heads = ["test", "state", "from", "until", "surfaces", "units>", "shown each arm"]
        out.show(table("", heads, rows) if rows else "no test is declared in the shop's file")
        out.done(found)


def _show(out: Out, record: dict[str, Any]) -> None:
    """Checks, what was wrong with the logs, and the verdict, in this order."""
    verdict = record["verdict"]
    for check in record["checks"]:
        mark = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "–"}[check["holds"]]
        out.show(f"{mark} {check['title']}: {check['said']}")
    for found in record["findings"]:
        out.show(f"  [yellow]{found['what']}[/yellow]: {found['did']}")
    out.show(f"[bold]{verdict['headline']}[/bold]", *(f"  {one}" for one in verdict["reasons"]))
