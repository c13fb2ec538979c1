"""Naive: a customer in, what *implicit* recommends out; the app one writes on an afternoon.

Reads the folder NAIVE_MODEL: model.npz (implicit), history.npz (scipy), ids.json.
"""

import json
import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from fastapi import FastAPI, HTTPException
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import BaseModel


class Item(BaseModel):
    """One recommended product."""

    product_id: str
    rank: int
    score: float


class Answer(BaseModel):
    """What a customer is recommended."""

    customer_id: str
    items: list[Item]


folder = Path(os.environ["NAIVE_MODEL"])
model = AlternatingLeastSquares.load(str(folder / "model.npz"))
history = sp.load_npz(folder / "history.npz")
ids = json.loads((folder / "ids.json").read_text())
rows = {id: row for row, id in enumerate(ids["customers"])}
app = FastAPI()


@app.get("/customers/{customer_id}/recommendations")
def recommend(customer_id: str, n: int = 10) -> Answer:
    """Ask the model for one customer."""
    if customer_id not in rows:
        raise HTTPException(404)
    row = rows[customer_id]
    codes, scores = model.recommend(row, history[row], N=n, filter_already_liked_items=True)
    items = [
        Item(product_id=ids["products"][code], rank=rank, score=score)
        for rank, (code, score) in enumerate(
            zip(codes, np.asarray(scores).tolist(), strict=True), 1
        )
    ]
    return Answer(customer_id=customer_id, items=items)
