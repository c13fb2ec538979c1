"""Commands on data: files in, tables out; and what is wrong with a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.console import (
    WORKSPACE,
    AsOfOption,
    JsonOption,
    MappingOption,
    SetOption,
    ShopOption,
    WorkspaceOption,
    command,
    job,
    now,
    table,
)


def synthetic(
    directory: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    customers: Annotated[int, typer.Option(min=1, help="How many customers.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    days: Annotated[int, typer.Option(min=1, help="Days of history.")] = 365,
    json: JsonOption = None,
) -> None:
    """Write the files of a shop that never was.

    Example: regulars synthetic out/shop --customers 10000
    """
    with command(directory.parent, json) as out:
        from pipelines import steps
        from pipelines.settings import SettingsError

        if directory.exists():
            raise SettingsError(f"{directory} exists: give a folder that does not")
        done = steps.synthesize(directory.resolve(), customers=customers, seed=seed, days=days)
        out.show(f"{customers:,} customers in {directory}")
        out.done(done)


def ingest(
    input: Annotated[
        str | None, typer.Argument(help="File, folder or glob; default: the shop's own.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    mapping: MappingOption = None,
    shop: ShopOption = None,
    set_: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Take files in: every row ends in events, quarantine or duplicates.

    Example: regulars ingest data/online_retail_ii.parquet --mapping online-retail-ii
    """
    with command(workspace, json) as out:
        from pipelines import steps

        work = job(out, shop=shop, mapping=mapping, overrides=set_, given=input)
        done = steps.take_in(work)
        names = ("input", "events", "quarantined", "duplicates")
        rows = [[name, *(one["rows"][n] for n in names)] for name, one in done["tables"].items()]
        heads = ["table", "input>", "taken>", "quarantined>", "duplicates>"]
        out.show(table("", heads, rows))
        for name, one in done["tables"].items():
            if one["reasons"]:
                said = ", ".join(f"{reason} {n:,}" for reason, n in one["reasons"].items())
                out.show(f"{name} quarantined: {said}")
        out.done(done)


def features(
    workspace: WorkspaceOption = WORKSPACE,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Build the feature tables as of a moment; what exists is found, not built.

    Example: regulars features --as-of 2011-11-01T00:00:00+00:00
    """
    with command(workspace, json) as out:
        from pipelines import steps

        done = steps.build_features(job(out, shop=shop, overrides=set_, as_of=as_of))
        rows = [[name, one["rows"], one["snapshot"]] for name, one in done["tables"].items()]
        out.show(table(f"as of {done['as_of']}", ["table", "rows>", "snapshot"], rows))
        out.done(done)


def doctor(
    workspace: WorkspaceOption = WORKSPACE,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is safe to mend.")] = False,
    json: JsonOption = None,
) -> None:
    """Say what is wrong with a workspace; exit code 1 while something is.

    Example: regulars doctor --fix
    """
    if not workspace.is_dir():
        typer.secho(f"regulars: no workspace at {workspace}", fg="red", err=True)
        raise typer.Exit(1)
    with command(workspace, json) as out:
        from pipelines import doctor as examiner
        from pipelines.shopfile import open_shop

        shop = open_shop(out.workspace) if out.workspace.shop_file.exists() else None
        found = examiner.examine(
            out.workspace,
            fix=fix,
            at=now(),
            shop=None if shop is None else shop.name,
            server=None if shop is None else shop.tracking.uri,
        )
        for one in found:
            mark = "[green]mended[/green]" if one["mended"] else "[red]wrong[/red]"
            out.show(f"{mark} {one['code']}: {one['what']}")
            if not one["mended"]:
                out.show(f"      {one['remedy']}")
        left = [one for one in found if not one["mended"]]
        if not found:
            out.show("Nothing is wrong.")
        out.done({"healthy": not left, "ailments": found})
    if left:
        raise typer.Exit(1)
