"""The retention lead's command: a shop in, regulars, who slips and what to do about it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    table,
)


def retention(
    page: Annotated[Path | None, typer.Option("--out", help="Write it as a page.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Say who is a regular, who is slipping, what that is worth and what to do tomorrow morning.

    Example: regulars retention --out out/retention.html
    """
    with command(workspace, json) as out:
        from features.artifact import write_text
        from pipelines import report, retention_page, retention_runs, retention_words
        from pipelines import retention as telling

        work = job(out, shop=shop, overrides=set_, as_of=as_of)
        done = telling.run(work.workspace, work.shop, as_of=work.as_of)
        out.show(f"[bold]{retention_words.headline(done)}[/bold]\n")
        for name, said in retention_words.answers(done).items():
            out.show(f"[bold]{name}[/bold]: {said}")
        rows = [
            [
                one["stage"],
                one["customers"],
                "–" if one["before"] is None else f"{one['customers'] - one['before']:+,}",
                f"{one['back_90d']:,.0f}",
                retention_words.money(done, one["expected"]),
            ]
            for one in done["stages"]
        ]
        heads = ["stage", "customers>", "this month>", "back in 90 days>", "value in a year>"]
        out.show(table("", heads, rows))
        made = retention_page.page(done)
        if page is not None:
            write_text(page, made)
        kept = page
        if as_of is None:  # a look back must not stand where operators look for today
            kept = report.keep(out.workspace, "retention", made)
        if page is not None or kept is not None:
            out.show(f"page: {page or kept}")
        done["run_id"] = retention_runs.track(work.tracking, done, made)
        out.done(done)
