"""What the locked libraries must do together."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import Body, FastAPI


def test_a_null_in_a_body_means_the_default() -> None:
    """Prefect's client sends `limit: null`; FastAPI from 0.151 on answers 422, so no deployment."""
    app = FastAPI()

    @app.post("/filter")
    async def filtered(limit: int = Body(None), offset: int = Body(0, ge=0)) -> list[int | None]:
        return [limit, offset]

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/filter", json={"limit": None, "offset": None})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()) == (200, [None, 0])
