"""Places: a shop's bundles in, where everything else of the shop lies out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serving.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Place:
    """One shop's home: the workspace that holds its bundles. The server writes nowhere else."""

    name: str
    bundles: Path

    @property
    def home(self) -> Path:
        """The workspace."""
        return self.bundles.parent

    @property
    def shop_file(self) -> Path:
        """The shop's TOML: surfaces and experiments are read from it."""
        return self.home / "shop.toml"

    @property
    def state(self) -> Path:
        """What customers did since, stock and rules: the embedded store's folder."""
        return self.home / "state"

    @property
    def exposures(self) -> Path:
        """What was shown: parquet files and the one being written."""
        return self.home / "exposures"

    @property
    def collected(self) -> Path:
        """Events that customers' devices sent: parquet files for the next training."""
        return self.home / "collected"

    @property
    def pages(self) -> Path:
        """Reports of comparisons and experiments, one HTML file each."""
        return self.home / "pages"

    @property
    def keys(self) -> Path:
        """Hashed API keys; where there is no such file, there are no keys."""
        return self.home / "keys.json"

    @property
    def feed(self) -> Path:
        """Stock files dropped here are taken in."""
        return self.home / "feed"


def places(settings: Settings) -> list[Place]:
    """The shops to serve, by name; raises SettingsError where there is none.

    Without `shops`, the one whose bundles are named, called by its workspace's folder. A folder
    without `bundles` is no shop.
    """
    if settings.shops is None:
        return [Place(settings.bundles.absolute().parent.name, settings.bundles)]
    try:
        found = sorted(path for path in settings.shops.iterdir() if (path / "bundles").is_dir())
    except OSError as error:
        want = f"want a folder of workspaces: {error.strerror}"
        raise SettingsError(f"REGULARS_SHOPS is {str(settings.shops)!r}: {want}") from None
    if not found:
        want = "want a folder of workspaces; none in it has a folder `bundles`"
        raise SettingsError(f"REGULARS_SHOPS is {str(settings.shops)!r}: {want}")
    return [Place(path.name, path / "bundles") for path in found]
