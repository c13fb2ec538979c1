"""`python -m serving`: environment variables in, a running server out."""

from __future__ import annotations

import os
import sys

# Before numpy is imported: with more than one BLAS thread a request waits for the others' threads.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

LATE = 5.0  # seconds


def main() -> int:
    """Serve until told to stop; 2 for settings that cannot be meant."""
    import contextlib
    import importlib
    import threading

    import uvicorn

    from features.artifact import begin, pointed
    from features.keys import KeysError
    from serving import logs
    from serving.guard.start import check
    from serving.settings import SettingsError, read
    from serving.wire import Leaving, Wire

    sys.setswitchinterval(0.001)  # who waits for an event to be durable waits for the GIL too
    try:
        settings = read(os.environ)
        check(settings)
        logs.configure(settings)
        if settings.shops is None:  # checksums, while the rest is imported
            with contextlib.suppress(OSError, UnicodeDecodeError):
                begin(settings.bundles / (pointed(settings.bundles / "current") or "none"))
        from serving.app import create  # half a second of imports, after what fails at once

        app = create(settings)
    except (SettingsError, KeysError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    app.state.leaving = False

    def leaves() -> None:
        app.state.leaving = True

    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level=settings.log_level,
        access_log=False,  # serving/logs.py writes the requests' lines
        http=Wire,
        loop="uvloop",
        ws="none",
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=round(settings.shutdown_seconds) or 1,
    )
    # A tenth of a second that the first who asks for /metrics would make everybody wait; after
    # the start, which it would make longer.
    late = threading.Timer(LATE, importlib.import_module, args=("serving.exposition",))
    late.daemon = True
    late.start()
    server = Leaving(config, drain=settings.drain_seconds, leaves=leaves)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
