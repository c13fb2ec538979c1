"""Commands on campaigns: a shop in, whom to wake, what it did, and who wants a product out."""

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
    table,
)

app = typer.Typer(rich_markup_mode="rich")
ListOption = Annotated[
    Path | None,
    typer.Option("--out", help="Write those to contact as CSV or parquet; no one held out."),
]


@app.callback(invoke_without_command=True)
def activate(
    context: typer.Context,
    to: ListOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Make today's list of customers worth waking: why, with what, by which way, and who is not.

    Example: regulars activate --out wake.csv
    """
    if context.invoked_subcommand is not None:
        return
    with command(workspace, json) as out:
        from pipelines import activate as activating

        work = job(out, shop=shop, overrides=set_, as_of=as_of)
        done = activating.run(work.workspace, work.shop, as_of=work.as_of)
        _show(out, done)
        if to is not None:
            from pipelines.audience import write

            snapshot = work.workspace.tables.get("activation", done["snapshot"])
            write(activating.contacts(snapshot), to)
            out.show(f"list: {to}")
        out.done(done)


@app.command()
def report(
    page: Annotated[Path | None, typer.Option("--out", help="Write the report as a page.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Say what the last campaigns did: those contacted against those held out.

    Example: regulars activate report --out campaigns.html
    """
    with command(workspace, json) as out:
        from features.artifact import write_text
        from pipelines import activation_page, activation_report
        from pipelines import report as pages

        work = job(out, shop=shop, overrides=set_, as_of=as_of)
        record, units = activation_report.run(work.workspace, work.shop, as_of=work.as_of)
        for line in activation_page.lines(record):
            out.show(line)
        made = activation_page.page(record)
        if page is not None:
            write_text(page, made)
        kept = pages.keep(out.workspace, "activation", made)
        out.show(f"page: {page or kept}")
        record["run_id"] = activation_report.track(work.tracking, record, units, made)
        out.done(record)


def audience(
    wanted: Annotated[str, typer.Argument(help="A product's id, a category or a supplier's id.")],
    n: Annotated[int, typer.Option(min=1, max=10_000_000, help="Customers at most.")] = 1_000,
    to: Annotated[Path | None, typer.Option("--out", help="Write them as CSV or parquet.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Find the customers most likely to want a product, a category or a supplier's goods.

    Example: regulars audience p00123 --n 500 --out audience.csv
    """
    with command(workspace, json) as out:
        from pipelines import audience as finding

        work = job(out, shop=shop, overrides=set_, as_of=as_of)
        found, told = finding.run(work.workspace, work.shop, wanted, n=n, as_of=work.as_of)
        head = found.slice(0, 10).to_pylist()
        rows = [[one["customer_id"], one["stage"] or "–", f"{one['score']:.3f}", one["reason"]]
                for one in head]  # fmt: skip
        title = f"{told['kind']} {wanted}: {told['customers']:,} customers"
        out.show(table(title, ["customer", "stage", "score>", "reason"], rows))
        for code, count in told["left_out"].items():
            out.show(f"left out, {code.replace('_', ' ')}: {count:,}")
        if not told["personal"]:
            out.show("[yellow]the published model ranks alike for everybody: any order[/yellow]")
        if to is not None:
            finding.write(found, to)
            out.show(f"list: {to}")
        out.done({**told, "first": head})


def _show(out: Out, done: dict[str, Any]) -> None:
    counts = done["counts"]
    rows = [
        [one["customer_id"], one["stage"], one["reason"], one["best_channel"],
         " ".join(one["products"][:3])]
        for one in done["first"]
    ]  # fmt: skip
    title = f"{done['campaign']}: {counts['contact']:,} to contact, {counts['holdout']:,} held out"
    out.show(table(title, ["customer", "stage", "why", "by", "with"], rows))
    left = [[code.replace("_", " "), n] for code, n in counts["left_out"].items()]
    out.show(table("not worth a contact", ["because", "customers>"], left))
    out.show(f"worth: {done['why']}; {done['expected_gain']:,.2f} expected from all contacts")
    for warning in done["warnings"]:
        out.show(f"[yellow]{warning}[/yellow]")
