"""Commands on live tests: logs or a table in, a verdict that can be trusted out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.console import (
    WORKSPACE,
    AsOfOption,
    JsonOption,
    SetOption,
    ShopOption,
    WorkspaceOption,
    command,
    job,
    now,
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
FilesOption = list[str] | None


@app.callback()
def experiment() -> None:
    """Read a live test: may it be believed, what did it do, and what follows.

    Example: regulars experiment report new-home --exposures logs --outcomes events.parquet
    """


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="The test's name, as in [experiments.NAME].")],
    exposures: Annotated[
        FilesOption, typer.Option(help="What was shown: parquet or CSV; repeatable.")
    ] = None,
    outcomes: Annotated[
        FilesOption, typer.Option(help="What happened, before and after: parquet or CSV.")
    ] = None,
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
    page: Annotated[Path | None, typer.Option("--out", help="Write the report as a page.")] = None,
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

    Example: regulars experiment report new-home --exposures logs --outcomes events.parquet
    """
    if (external is None) == (exposures is None or outcomes is None):
        raise typer.BadParameter("want --exposures and --outcomes, or --table")
    with command(workspace, json) as out:
        from features.artifact import write_text
        from pipelines import experiment as testing
        from pipelines import experiment_page, experiment_tables, settings

        known = shop is not None or out.workspace.shop_file.exists()
        work = job(out, shop=shop, overrides=set_) if known or external is None else None
        gathered = None
        if external is None:
            assert work is not None
            when = None if as_of is None else settings.moment(as_of)
            trial, gathered = experiment_tables.logged(
                work.shop, name, exposures or [], outcomes or [], now=now(), as_of=when
            )
        else:
            flags: dict[str, Any] = {
                "arm": arm, "control": control, "outcomes": outcome, "covariates": covariate,
                "slices": by,
            }  # fmt: skip
            trial = experiment_tables.external(name, external, described, flags)
        record = testing.read(trial, gathered=gathered, show=show)
        verdict = record["verdict"]
        for check in record["checks"]:
            mark = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "–"}[check["holds"]]
            out.show(f"{mark} {check['title']}: {check['said']}")
        for found in record["findings"]:
            out.show(f"  [yellow]{found['what']}[/yellow]: {found['did']}")
        out.show(f"[bold]{verdict['headline']}[/bold]", *(f"  {one}" for one in verdict["reasons"]))
        if page is not None:
            write_text(page, experiment_page.page(record))
            out.show(f"page: {page}")
        record["run_id"] = None if work is None else testing.track(work.tracking, record)
        out.done(record)
