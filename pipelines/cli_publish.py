"""Commands on publications: judged runs in, what serves out, forward and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    table,
)

if TYPE_CHECKING:
    from pipelines.steps import Job

VersionArgument = Annotated[
    str | None, typer.Argument(help="A registered version's number.", show_default=False)
]
WhyOption = Annotated[str, typer.Option("--because", help="The reason, for the publication log.")]


def publish(
    workspace: WorkspaceOption = WORKSPACE,
    model: Annotated[
        str | None,
        typer.Option(help="This model whatever the gate says; --because is then wanted."),
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Make the bundle, leave promoting to `promote`.")
    ] = False,
    lists: Annotated[
        Path | None,
        typer.Option(help="Then write every customer's list to this folder as parquet."),
    ] = None,
    why: WhyOption = "",
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Ask the gate about the judged models and publish the one it lets through.

    Example: regulars publish
    """
    if model is not None and not why:
        raise typer.BadParameter("publishing past the gate wants its reason: --because TEXT")
    with command(workspace, json) as out:
        from pipelines import publish as publishing
        from pipelines import steps

        work = job(out, shop=shop, overrides=set_, as_of=as_of)
        judged = steps.judge_models(work, steps.train_models(work))
        decision = steps.weigh(work, judged["run_ids"])
        run_id = decision["run_id"]
        if model is not None:
            run_id = judged["run_ids"].get(model)
            if run_id is None:
                known = ", ".join(judged["run_ids"])
                raise publishing.PublishError(f"model must be one of {known}, got {model!r}")
        if hold and run_id is not None:
            done = publishing.run(work.workspace, work.shop, work.tracking, run_id=run_id)
        else:
            past = model is not None
            why = why or decision["verdict"]
            done = steps.publish_run(work, run_id, at=now(), why=why, override=past)
        out.show(f"[bold]{decision['verdict']}[/bold]")
        for name, reasons in decision["reasons"].items():
            for reason in reasons:
                out.show(f"  {name}: {reason}")
        if done["version"] is not None:
            state = "candidate" if hold else "champion"
            out.show(
                f"{state}: version {done['version']}, {done['model']}, bundle {done['bundle']}"
            )
        out.done({**done, "decision": decision, **_lists(work, lists, done["bundle"])})


def promote(
    version: VersionArgument = None,
    workspace: WorkspaceOption = WORKSPACE,
    why: WhyOption = "",
    json: JsonOption = None,
) -> None:
    """Let the candidate, or a version, serve: log, pointer and alias move together.

    What the gate held is refused with its reasons; --because overrides it, and both are logged.

    Example: regulars promote 3 --because "read its lists"
    """
    with command(workspace, json) as out:
        from pipelines import publish as publishing

        work = job(out)
        record = publishing.promote(
            work.workspace,
            work.tracking,
            at=now(),
            version=version,
            why=why,
            override=bool(why.strip()),
        )
        out.show(_serves(record))
        out.done(record)


def rollback(
    version: VersionArgument = None,
    workspace: WorkspaceOption = WORKSPACE,
    why: WhyOption = "",
    json: JsonOption = None,
) -> None:
    """Let the version before, or a given one, serve again.

    Example: regulars rollback --because "the lists show sold-out products"
    """
    with command(workspace, json) as out:
        from pipelines import publish as publishing

        work = job(out)
        record = publishing.rollback(
            work.workspace, work.tracking, at=now(), version=version, why=why
        )
        out.show(_serves(record))
        out.done(record)


def serve(
    workspace: WorkspaceOption = WORKSPACE,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Which port.")] = 8000,
    demo: Annotated[
        bool, typer.Option("--demo", help="With a shop to try everything in at /; keyless.")
    ] = False,
) -> None:
    """Serve what is published; a later publication is taken up without a pause.

    Example: regulars serve --port 8080
    """
    with command(workspace) as out:
        from pipelines import server

        server.become(out.workspace, host=host, port=port, demo=demo)


def log(
    workspace: WorkspaceOption = WORKSPACE,
    verify: Annotated[
        bool, typer.Option("--verify", help="Walk the chain; exit code 1 if it does not hold.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Show the publications, newest last.

    Example: regulars log --verify
    """
    with command(workspace, json) as out:
        from pipelines import log as logging

        chain = logging.walk(out.workspace.bundles / "log.jsonl")
        heads = ["#>", "at", "action", "version>", "model", "bundle", "why"]
        keys = ("sequence", "at", "action", "version", "model", "bundle", "why")
        rows = [[str(record[key]) for key in keys] for record in chain.records]
        out.show(table("", heads, rows) if rows else "Nothing was published yet.")
        for problem in chain.problems:
            out.show(f"[red]wrong[/red] {problem}")
        if verify and not chain.problems:
            out.show(f"The chain holds: {len(chain.records)} records.")
        out.done({"records": chain.records, "problems": chain.problems})
    if verify and chain.problems:
        raise typer.Exit(1)


def _lists(work: Job, folder: Path | None, bundle: str | None) -> dict[str, Any]:
    """Write the lists of the bundle just made, else of what serves, where they are wanted."""
    if folder is None:
        return {}
    from pipelines import lists
    from pipelines import publish as publishing

    bundle = bundle or publishing.serving(work.workspace)
    if bundle is None:
        raise publishing.PublishError("nothing serves yet: there are no lists to write")
    return {"lists": lists.run(work.workspace, bundle, folder, at=now())}


def _serves(record: dict[str, Any]) -> str:
    return f"serves: version {record['version']}, {record['model']}, bundle {record['bundle']}"
