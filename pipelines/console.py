"""Console: what commands share: options, progress on stderr, tables on stdout, errors in a line."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.steps import Job
    from pipelines.workspace import Workspace

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="The shop's folder; everything is written there.")
]
ShopOption = Annotated[
    str | None, typer.Option("--shop", help="The shop's TOML; remembered in the workspace.")
]
MappingOption = Annotated[
    str | None,
    typer.Option("--mapping", help="A ready shop's name, or the path of your own mapping."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting, such as models.als.factors=128; repeatable."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Work as of this moment (ISO, with zone); default: last event."),
]
JsonOption = Annotated[
    str | None, typer.Option("--json", help="Write the result as JSON to this file; - is stdout.")
]
WORKSPACE = Path("workspace")


class Out:
    """Where a command's result goes."""

    def __init__(self, workspace: Workspace, json_to: str | None) -> None:
        self.workspace = workspace
        self._json = json_to

    def show(self, *lines: Any) -> None:
        """Print tables and lines for a person; nothing where stdout is the program's."""
        if self._json != "-":
            from rich.console import Console

            console = Console(highlight=False)
            for line in lines:
                console.print(line, soft_wrap=isinstance(line, str))

    def done(self, record: dict[str, Any] | list[Any]) -> None:
        """Write the record where `--json` says."""
        if self._json is None:
            return
        text = json.dumps(record, indent=2, default=str, ensure_ascii=False) + "\n"
        if self._json == "-":
            sys.stdout.write(text)
        else:
            from features.artifact import write_text

            write_text(Path(self._json), text)


@contextlib.contextmanager
def command(workspace: Path, json_to: str | None = None) -> Iterator[Out]:
    """Run a command's body: environment set, progress shown, known errors told in one line."""
    from pipelines.workspace import Workspace

    place = Workspace(workspace)
    place.enter()
    with _progress(), _errors():
        yield Out(place, json_to)


def job(
    out: Out,
    *,
    shop: str | None = None,
    mapping: str | None = None,
    overrides: Sequence[str] | None = None,
    given: str | None = None,
    as_of: str | None = None,
) -> Job:
    """The job that the options describe."""
    from pipelines import settings, steps

    return steps.job(
        out.workspace.root,
        shop=shop,
        mapping=mapping,
        overrides=overrides or (),
        given=given,
        as_of=None if as_of is None else settings.moment(as_of),
    )


def now() -> datetime:
    """The clock, read here and nowhere else."""
    from datetime import UTC

    return datetime.now(UTC)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A plain table; columns whose name ends in `>` stand to the right."""
    from rich import box
    from rich.table import Table

    made = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for column in columns:
        right = column.endswith(">")
        made.add_column(column.rstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, str) else f"{cell:,}" for cell in row))
    return made


def figure(value: float | None) -> str:
    """A figure with three decimals, or a dash."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def models_table(
    models: dict[str, dict[str, dict[str, float | None]]], metric: str, *, first: str | None = None
) -> Table:
    """Models side by side, the metric that decides with its interval, the rest by their means."""
    shown = [metric, "recall_at_10", "hit_rate_at_10", "new_hit_rate_at_10", "coverage_at_10"]
    names = list(dict.fromkeys(shown))
    order = sorted(models, key=lambda name: -(models[name][metric]["mean"] or 0.0))
    rows = []
    for name in order:
        one = models[name]
        decides = one[metric]
        rows.append(
            [
                f"[bold]{name}[/bold]" if name == first else name,
                figure(decides["mean"]),
                f"{figure(decides['low'])}–{figure(decides['high'])}",
                *(figure(one[other]["mean"]) for other in names[1:]),
            ]
        )
    heads = [f"{_broken(name)}>" for name in names]
    return table("", ["model", heads[0], "95 %>", *heads[1:]], rows)


def _broken(metric: str) -> str:
    """A metric's shown name over several lines: a table fits 80 columns."""
    kind, _, at = metric.partition("_at_")
    return f"{kind.replace('_hit', chr(10) + 'hit')}\n@{at}"


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Known errors as one line and exit code 1; all others are bugs and keep their traceback."""
    try:
        yield
    except (typer.Exit, typer.BadParameter, KeyboardInterrupt):
        raise
    except Exception as error:
        if not _known(error):
            raise
        text = " ".join(str(getattr(error, "message", None) or error).split())
        typer.secho(f"regulars: {text}", fg="red", err=True)
        raise typer.Exit(1) from error


def _known(error: Exception) -> bool:
    """Whether a person can do something about it; asked by name, so that nothing is imported."""
    names = {kind.__name__ for kind in type(error).__mro__}
    ours = {
        "ActivationError",
        "ArtifactError",
        "LogError",
        "MlflowException",
        "ModelError",
        "ListsError",
        "NoConsents",
        "NobodyOrdered",
        "PublishError",
        "RegistryError",
        "SettingsError",
        "SourceError",
        "TrackingError",
        "WorkspaceError",
    }
    return bool(names & ours) or isinstance(error, FileNotFoundError | PermissionError)


@contextlib.contextmanager
def _progress() -> Iterator[None]:
    """Show the steps on stderr: a spinner on a terminal, plain lines elsewhere."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    handler = _Steps(console)
    log = logging.getLogger("regulars")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.stop()


class _Steps(logging.Handler):
    """Log records of `pipelines.progress` to a terminal."""

    def __init__(self, console: Any) -> None:
        super().__init__()
        self._console = console
        self._status: Any = None

    def emit(self, record: logging.LogRecord) -> None:
        """Begin or end a step, or say a line."""
        text = record.getMessage()
        if hasattr(record, "begins"):
            self.stop()
            if self._console.is_terminal:
                self._status = self._console.status(f"{text} …")
                self._status.start()
            return
        self.stop()
        mark = "[red]✗[/red]" if hasattr(record, "failed") else "[green]✓[/green]"
        self._console.print(f"{mark if hasattr(record, 'ended') else '·'} {text}")

    def stop(self) -> None:
        """Take the spinner away."""
        if self._status is not None:
            self._status.stop()
            self._status = None
