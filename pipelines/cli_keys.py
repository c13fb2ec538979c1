"""Commands on API keys: who may ask the server in, a secret shown once out."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.console import WORKSPACE, JsonOption, WorkspaceOption, command, now, table

app = typer.Typer(
    help="Who may ask the server: keys by scope, kept as hashes.", no_args_is_help=True
)

FILE = "keys.json"


@app.command()
def add(
    scope: Annotated[
        list[str],
        typer.Option(help="storefront, events, operator or supplier; repeatable."),
    ],
    workspace: WorkspaceOption = WORKSPACE,
    name: Annotated[str, typer.Option(help="Whose key it is, for you.")] = "",
    rate: Annotated[
        float | None,
        typer.Option(help="Requests a second, and as many at once; no limit when absent."),
    ] = None,
    supplier: Annotated[
        str | None, typer.Option(help="Whose products' stock a supplier's key may change.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Make a key and show it, once: only its hash is kept. A running server takes it up.

    Example: regulars keys add --scope storefront --scope events --name web --rate 100
    """
    with command(workspace, json) as out:
        from features import keys

        with out.workspace.lock("keys"):
            key, secret = keys.add(
                out.workspace.root / FILE,
                scopes=scope,
                now=now(),
                name=name,
                rate=rate,
                supplier_id=supplier,
            )
        out.show(secret)
        out.done({**_record(key), "key": secret})


@app.command("list")
def list_(workspace: WorkspaceOption = WORKSPACE, json: JsonOption = None) -> None:
    """Show the keys, without their secrets.

    Example: regulars keys list
    """
    with command(workspace, json) as out:
        from features import keys

        found = keys.read(out.workspace.root / FILE)
        records = [_record(key) for key in found or ()]
        heads = ["id", "name", "scopes", "rate>", "supplier", "created"]
        rows = [
            [
                key.id,
                key.name,
                ", ".join(key.scopes),
                "–" if key.rate is None else f"{key.rate:g}",
                key.supplier_id or "–",
                key.created,
            ]
            for key in found or ()
        ]
        open_ = "There is no key: the server answers everybody, and only on this machine."
        shut = "Every key was revoked: the server answers nobody."
        out.show(table("", heads, rows) if rows else open_ if found is None else shut)
        out.done({"keys": records})


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, as `regulars keys list` shows it.")],
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = None,
) -> None:
    """Take a key away; a running server refuses it within a second.

    Example: regulars keys revoke 0f3a9c1e
    """
    with command(workspace, json) as out:
        from features import keys

        with out.workspace.lock("keys"):
            key = keys.revoke(out.workspace.root / FILE, id)
        out.show(f"revoked: {key.id}{f', {key.name}' if key.name else ''}")
        out.done(_record(key))


def _record(key: object) -> dict[str, object]:
    """A key as JSON shows it: all but its hash."""
    import msgspec

    record: dict[str, object] = msgspec.to_builtins(key)
    return {name: value for name, value in record.items() if name != "sha256"}
