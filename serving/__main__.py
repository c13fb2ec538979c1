"""`python -m serving`: environment variables in, a running server out."""

from __future__ import annotations

import os
import sys

# Before numpy is imported: with more than one BLAS thread a request waits for the others' threads.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def main() -> int:
    """Serve until told to stop; 2 for settings that cannot be meant."""
    import logging

    import uvicorn

    from serving.app import create
    from serving.settings import SettingsError, read

    try:
        settings = read(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    uvicorn.run(
        create(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level=settings.log_level,
        access_log=settings.log_level == "debug",
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=round(settings.shutdown_seconds) or 1,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
