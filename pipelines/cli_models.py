"""Commands on models: feature tables in, trained, judged and compared runs out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.artifact import write_text
from pipelines.console import (
    WORKSPACE,
    AsOfOption,
    JsonOption,
    SetOption,
    ShopOption,
    WorkspaceOption,
    command,
    figure,
    job,
    models_table,
    table,
)

ModelOption = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="Only this model; repeatable.")
]


def train(
    workspace: WorkspaceOption = WORKSPACE,
    model: ModelOption = None,
    search: Annotated[
        int | None, typer.Option(min=1, help="Try so many hyperparameters at random first.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Use what the search found from now on.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="Take new data into the last model, without a full fit."),
    ] = False,
    warm: Annotated[
        bool, typer.Option("--warm", help="Fit anew from where the last model stands.")
    ] = False,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Train models on all that is known; a finished run of the same is found, not repeated.

    Example: regulars train --model als --search 20 --keep
    """
    with command(workspace, json) as out:
        from pipelines import search as searching
        from pipelines import shopfile, steps
        from pipelines.settings import SettingsError

        if update and warm:
            raise SettingsError("want --update or --warm, got both")
        work = job(out, shop=shop, overrides=set_, as_of=as_of)
        searched = []
        for name in (model or [n for n in work.shop.models if n != "popularity"]) if search else []:
            found = searching.run(
                work.workspace,
                work.shop,
                work.tracking,
                model=name,
                tries=int(search or 0),
                as_of=work.as_of,
            )
            searched.append(found)
            rows = [
                [
                    figure(one["mean"]),
                    f"{figure(one['low'])} to {figure(one['high'])}",
                    ", ".join(f"{k} {one['parameters'][k]}" for k in found["best"]),
                ]
                for one in found["tries"][:5]
            ]
            metric = found["metric"].replace("_at_", "@")
            out.show(table(f"{name}, validation fold", [f"{metric}>", "95 %>", "with"], rows))
            kept = {**work.shop.models.get(name, {}), **found["best"]}
            if keep and name in work.shop.models:
                shopfile.keep(work.workspace, name, kept)
            else:
                out.show(
                    "To keep it, add --keep or write:"
                    if name in work.shop.models
                    else f"{name} is none of the shop's models; to keep it write in shop.toml:",
                    shopfile.toml({name: kept}).strip("\n"),
                )
            sets = [f"models.{name}.{k}={_toml(v)}" for k, v in found["best"].items()]
            work = job(out, shop=shop, overrides=[*(set_ or ()), *sets], as_of=as_of)
        done = steps.train_models(
            work, model or (), "update" if update else "warm" if warm else None
        )
        rows = [
            [
                name,
                one["kind"],
                f"{one['seconds']:.1f}",
                one["run_id"],
                "found" if one["reused"] else "",
            ]
            for name, one in done["models"].items()
        ]
        out.show(table("", ["model", "kind", "seconds>", "run", ""], rows))
        out.done({**done, "search": searched})


def judge(
    workspace: WorkspaceOption = WORKSPACE,
    model: ModelOption = None,
    shop: ShopOption = None,
    set_: SetOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
) -> None:
    """Judge models by a backtest; what is not trained yet is trained first.

    Example: regulars judge --set judge.folds=4
    """
    with command(workspace, json) as out:
        from pipelines import steps

        work = job(out, shop=shop, overrides=set_, as_of=as_of)
        trained = steps.train_models(work, model or ())
        done = steps.judge_models(work, trained)
        out.show(models_table(done["models"], work.shop.judge.metric))
        customers = sum(fold["customers"]["judged"] for fold in done["folds"])
        out.show(f"{len(done['folds'])} folds, {customers:,} lists judged")
        out.done(done)


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Models' names or runs' ids, the baseline first; default: all."),
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    page: Annotated[
        Path | None, typer.Option("--out", help="Write the comparison as a page.")
    ] = None,
    shop: ShopOption = None,
    set_: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Say which of judged runs is better, for whom, how surely: ship, hold or fail.

    Example: regulars compare popularity als --out out/compare.html
    """
    with command(workspace, json) as out:
        from pipelines import compare as comparing
        from pipelines import compare_page, report

        work = job(out, shop=shop, overrides=set_)
        done = comparing.run(work.shop, work.tracking, names=runs or ())
        out.show(models_table(done["models"], done["metric"], first=done["baseline"]))
        metric = done["metric"]
        rows = [
            [
                name,
                f"{found[metric]['mean']:+.4f}",
                f"{found[metric]['low']:+.4f} to {found[metric]['high']:+.4f}",
                "–" if found[metric]["relative"] is None else f"{found[metric]['relative']:+.1%}",
                found[metric]["n"],
            ]
            for name, found in done["differences"].items()
            if metric in found
        ]
        title = f"{metric.replace('_at_', '@')}, difference from {done['baseline']}"
        out.show(table(title, ["model", "difference>", "95 %>", "relative>", "customers>"], rows))
        out.show(*(f"left out: {why}" for why in done["left_out"].values()))
        verdict = done["verdict"]
        out.show(f"[bold]{verdict['headline']}[/bold]")
        for one in verdict["models"].values():
            out.show(*(f"  {line}" for line in (*one["reasons"], *one["cautions"])))
        made = compare_page.page(done)
        comparing.track(work.tracking, done, made)
        kept = report.keep(out.workspace, "-".join(["compare", *(runs or ())]), made)
        if page is not None:
            write_text(page, made)
        out.show(f"page: {page or kept}")
        out.done(done)


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
