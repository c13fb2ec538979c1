"""Commands that run flows: the demo, and any flow by its name, once or on a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
)


def demo(
    customers: Annotated[
        int | None, typer.Option(min=50, help="Customers of the shop that never was.")
    ] = None,
    input: Annotated[
        str | None, typer.Option(help="Your file, folder or glob instead; wants --mapping.")
    ] = None,
    mapping: MappingOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="End after publishing.")] = False,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The server's port.")] = 8000,
    seed: Annotated[int, typer.Option(min=0, help="Of the shop that never was.")] = 0,
    set_: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Everything once: events to features, models, judgement, publication and server.

    Example: regulars demo --input data/events.csv --mapping my-mapping.toml --no-serve
    """
    if input is not None and mapping is None:
        raise typer.BadParameter("--input wants --mapping: what do its columns mean?")
    if input is None and mapping not in (None, "synthetic"):
        raise typer.BadParameter(f"--mapping {mapping} wants --input: where are its events?")
    if input is not None and customers is not None:
        raise typer.BadParameter("--customers is for the shop that never was, --input is not")
    with command(workspace, json) as out:
        from pipelines import demo as showing

        given = str(Path(input).resolve()) if input and Path(input).exists() else input
        showing.one_input(
            out.workspace, input=given, customers=customers or showing.CUSTOMERS, seed=seed
        )
        from pipelines import flows

        found = flows.demo(
            workspace=str(out.workspace.root),
            mapping=mapping or "synthetic",
            input=given,
            customers=customers or showing.CUSTOMERS,
            seed=seed,
            overrides=set_,
        )
        for line in showing.lines(out.workspace, found):
            out.show(line)
        out.done(showing.record(found))
        if no_serve:
            return
        from pipelines import server

        out.show(f"\nThe server: http://{host}:{port} (Ctrl-C ends it)")
        server.become(out.workspace, host=host, port=port, demo=True)


def flow(
    name: Annotated[str, typer.Argument(help="nightly, ingest, build_features, train …")],
    workspace: WorkspaceOption = WORKSPACE,
    serve: Annotated[
        bool, typer.Option("--serve", help="Stay and run it on the schedule.")
    ] = False,
    cron: Annotated[str, typer.Option(help="The schedule of --serve, UTC.")] = "0 3 * * *",
    input: Annotated[str | None, typer.Option(help="Another input than the shop's.")] = None,
    mapping: MappingOption = None,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Run a flow in Prefect, with retries, states and artifacts.

    Example: regulars flow nightly --serve --cron "0 3 * * *"
    """
    with command(workspace, json) as out:
        from pipelines import flows
        from pipelines.settings import SettingsError

        if name not in flows.NAMES:
            raise SettingsError(f"flow must be one of {', '.join(flows.NAMES)}, got {name!r}")
        chosen = getattr(flows, name)
        said: dict[str, Any] = {
            "workspace": str(out.workspace.root),
            "shop": None if shop is None else str(Path(shop).resolve()),
            "mapping": mapping,
            "overrides": set_,
            "input": input,
            "as_of": as_of,
        }
        taken = chosen.parameters.properties
        unknown = [key for key, value in said.items() if value and key not in taken]
        if unknown:
            raise SettingsError(f"flow {name} does not take {', '.join(unknown)}")
        parameters = {key: value for key, value in said.items() if value is not None}
        if serve:
            out.show(f"{name} at {cron} (UTC); Ctrl-C ends it")
            chosen.serve(name=name, cron=cron, parameters=parameters)
            return
        done = chosen(**parameters)
        if "decision" in done:
            out.show(done["decision"]["verdict"])
        out.show(f"{name} is done")
        out.done(done)
