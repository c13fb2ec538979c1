"""MLflow's way: the same model as a pyfunc from code, for `mlflow models serve`."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares


class Als(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Recommends for the customers of a data frame."""

    def load_context(self, context: Any) -> None:
        """Load what the artifacts hold."""
        folder = Path(context.artifacts["folder"])
        self.model = AlternatingLeastSquares.load(str(folder / "model.npz"))
        self.history = sp.load_npz(folder / "history.npz")
        self.ids = json.loads((folder / "ids.json").read_text())
        self.rows = {id: row for row, id in enumerate(self.ids["customers"])}

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Any = None
    ) -> list[list[dict[str, Any]]]:
        """Ten products for each row."""
        rows = [self.rows[id] for id in model_input["customer_id"]]
        codes, scores = self.model.recommend(
            rows, self.history[rows], N=10, filter_already_liked_items=True
        )
        return [
            [
                {"product_id": self.ids["products"][code], "rank": rank, "score": float(score)}
                for rank, (code, score) in enumerate(zip(*pair, strict=True), 1)
            ]
            for pair in zip(codes, scores, strict=True)
        ]


mlflow.models.set_model(Als())
