"""Server: a workspace in, the serving process out; started apart, never imported."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NoReturn

from pipelines import publish
from pipelines.workspace import Workspace

COMMAND = (sys.executable, "-m", "serving")


def environment(
    workspace: Workspace, *, host: str, port: int, demo: bool = False
) -> dict[str, str]:
    """What `python -m serving` reads; demo: with a shop to try everything in at `/`."""
    if publish.serving(workspace) is None:
        raise publish.PublishError(f"nothing is published in {workspace.root}: `regulars publish`")
    return {
        **os.environ,
        "REGULARS_BUNDLES": str(workspace.bundles),
        "REGULARS_HOST": host,
        "REGULARS_PORT": str(port),
        **({"REGULARS_DEMO": "true"} if demo else {}),
    }


def become(workspace: Workspace, *, host: str, port: int, demo: bool = False) -> NoReturn:
    """Replace this process by the server."""
    values = environment(workspace, host=host, port=port, demo=demo)
    sys.stdout.flush()
    os.execve(COMMAND[0], COMMAND, values)  # noqa: S606


def start(workspace: Workspace, *, host: str, port: int) -> subprocess.Popen[bytes]:
    """Start the server beside this process."""
    return subprocess.Popen(COMMAND, env=environment(workspace, host=host, port=port))
