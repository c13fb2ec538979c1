"""Asked: a question made ready, with all that its answer is made from."""

from __future__ import annotations

from typing import NamedTuple

from models.surfaces import Surface
from serving.answers import Note
from serving.hiding import drops
from serving.questions import Question
from serving.sources import unlisted
from serving.terms import Terms
from serving.trials.plans import Assigned
from serving.visit import Visit


class Asked(NamedTuple):
    """A question made ready on the event loop: `ranked` may then run in a thread."""

    customer_id: str | None
    question: Question
    surface: Surface
    visit: Visit
    terms: Terms
    assigned: tuple[Assigned, ...] = ()
    notes: tuple[Note, ...] = ()
    other: Asked | None = None  # of an interleaved test: what the other arm answers

    @property
    def drop(self) -> bool:
        """Whether her published history is ruled out."""
        return drops(self.visit, self.question)

    @property
    def scores(self) -> bool:
        """Whether the model has to score now for the answer."""
        if not self.visit.since and self.question.seen != "keep":
            return False
        wanted = any(name == "model" for name, _ in self.surface.sources)
        return wanted and unlisted(self.visit, self.drop)
