"""Shop files: a workspace and what the user named in, the shop's settings out."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.artifact import canonical, write_text
from pipelines.settings import SettingsError, Shop, preset, presets, read
from pipelines.workspace import OtherShop, Workspace


def open_shop(
    workspace: Workspace,
    *,
    shop: str | None = None,
    mapping: str | None = None,
    overrides: Sequence[str] = (),
) -> Shop:
    """The settings of a workspace's shop; the first command's file is remembered in it.

    Which text counts: `shop` (a file); else the workspace's `shop.toml`; else `mapping`, a preset
    or the path of a mapping of one's own. Later wins within: text, `found.toml`, `overrides`.
    """
    if shop is not None:
        text, source = _own(Path(shop)), shop
    elif workspace.shop_file.exists():
        text, source = workspace.shop_file.read_text("utf-8"), str(workspace.shop_file)
    elif mapping is not None:
        text, source = _ready(mapping), mapping
    else:
        raise SettingsError(
            f"{workspace.root} has no shop yet: give --shop FILE or --mapping "
            f"({', '.join(presets())})"
        )
    read_shop = read(text, source=source, found=found(workspace), overrides=overrides)
    _belongs(workspace, read_shop, mapping)
    if shop is not None or not workspace.shop_file.exists():
        write_text(workspace.shop_file, text)
    return read_shop


def found(workspace: Workspace) -> dict[str, Any]:
    """Hyperparameters by model that `train --search N --keep` left."""
    if not workspace.found_file.exists():
        return {}
    values: dict[str, Any] = tomllib.loads(workspace.found_file.read_text("utf-8"))["models"]
    return values


def keep(workspace: Workspace, model: str, parameters: dict[str, Any]) -> None:
    """Let a model be made with these hyperparameters from now on."""
    kept = {**found(workspace), model: parameters}
    write_text(
        workspace.found_file, "# written by `regulars train --search N --keep`\n" + toml(kept)
    )


def toml(models: dict[str, dict[str, Any]]) -> str:
    """Models' hyperparameters as TOML tables; JSON's numbers, strings and booleans are TOML's."""
    return "".join(
        f"[models.{name}]\n" + "".join(f"{k} = {canonical(v)}\n" for k, v in values.items()) + "\n"
        for name, values in models.items()
    )


def _own(path: Path) -> str:
    """The text of a user's file; a mapping beside it is named by its whole path."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    try:
        said = tomllib.loads(text).get("ingest", {}).get("mapping")
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    beside = path.resolve().parent / str(said)
    if isinstance(said, str) and not Path(said).is_absolute() and beside.is_file():
        text = text.replace(f'"{said}"', f'"{beside}"', 1)
    return text


def _ready(mapping: str) -> str:
    """A preset's text, or one around a mapping of one's own."""
    path = Path(mapping)
    if mapping in presets() or not path.is_file():
        return preset(mapping)
    name = "".join(c if c.isalnum() else "-" for c in path.stem.lower()).strip("-") or "shop"
    return f'[shop]\nname = "{name}"\n\n[ingest]\nmapping = "{path.resolve()}"\n'


def _belongs(workspace: Workspace, shop: Shop, mapping: str | None) -> None:
    """A workspace is one shop's."""
    wanted = shop.name
    if mapping is not None and mapping in presets():
        wanted = tomllib.loads(preset(mapping))["shop"]["name"]
    if workspace.shop_file.exists():
        kept = tomllib.loads(workspace.shop_file.read_text("utf-8"))["shop"]["name"]
        if wanted != kept:
            raise OtherShop(
                f"{workspace.root} belongs to shop {kept}, got {wanted}: give another --workspace"
            )
