"""Sequences in, the network's learned arrays out: epochs, early stopping and checkpoints of sasrec.

All that is random in an epoch follows from the seed and the epoch's number, so that a run that
was killed goes on from its last checkpoint as if it had not been.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from models.networks.attention import CELLS, full_loss, sampled_loss, states
from models.networks.checkpoint import Checkpoint
from models.networks.packed import Numbers, Packed, Sequences, batches, packed
from models.scorer import ModelError, Scores

LOG = logging.getLogger("regulars")

WARM = 100  # steps in which the learning rate grows to what was asked
BLANK = 0.1  # share of the customers who in an epoch learn without traits, as new ones may come
JUDGED = 5_000  # customers at most in whose held-out events a run is judged
BETAS = 0.9, 0.98  # of AdamW
FEW = 10  # of a customer's held-out events at most
POWER = 0.75  # of a product's count, that it is drawn by as a negative


class Plan(Protocol):
    """What `learn` reads of a model's hyperparameters: see `SASRec`."""

    length: int
    temperature: float
    dropout: float
    rate: float
    decay: float
    batch: int
    negatives: int
    epochs: int
    patience: int
    seed: int


class Progress(NamedTuple):
    """Where a run stands: how many epochs are done, which was the best and how good it was."""

    done: int = 0
    best: int = 0
    gain: float = -1.0


def learn(
    start: Mapping[str, Scores],
    given: Sequences,
    held: Numbers,
    plan: Plan,
    checkpoint: Checkpoint,
) -> tuple[dict[str, Scores], int]:
    """The arrays of the best epoch, of the last where none are held out, and its number.

    held: (rows,) how many of her last events are not learned from but judged by. checkpoint: of
    this very run.
    """
    import torch

    run = Run(start, given, held, plan)
    progress = Progress()
    if (saved := checkpoint.load()) is not None:
        progress = run.resume(saved[1])
        LOG.info("sasrec goes on after epoch %d of its checkpoint", progress.done)
    elif checkpoint.directory is not None and any(checkpoint.directory.glob("*-*")):
        LOG.warning(
            "sasrec begins anew: %s is of other data or hyperparameters", checkpoint.directory
        )
    devices = [run.device] if run.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        while progress.done < plan.epochs and not _waited(progress, plan):
            torch.manual_seed(
                np.random.SeedSequence((plan.seed, progress.done)).generate_state(1)[0]
            )
            loss = run.epoch(np.random.default_rng((plan.seed, progress.done)))
            done = progress.done + 1
            gain = run.gain()
            if not np.isfinite(loss) or not run.learned["products"].norm().isfinite():
                raise ModelError(
                    f"rate must be small enough to learn with, got {plan.rate}: "
                    f"the loss of epoch {done} is {loss}"
                )
            LOG.debug("epoch %d: loss %.4f, gain %.4f", done, loss, gain)
            progress = progress._replace(done=done)
            if gain > progress.gain or not len(run.judged):
                progress = Progress(done, done, gain)
                run.keep()
            if checkpoint.directory is not None:
                checkpoint.save(done, run.arrays(progress))
    checkpoint.clear()
    return run.kept, progress.best


def _waited(progress: Progress, plan: Plan) -> bool:
    return plan.patience > 0 and progress.done - progress.best >= plan.patience


class Run:
    """The network's tensors on their way, over the sequences of one shop."""

    def __init__(
        self,
        start: Mapping[str, Scores],
        given: Sequences,
        held: Numbers,
        plan: Plan,
    ) -> None:
        import torch

        self.given = given.untied((given.starts[1:] - held)[held > 0])
        self.held, self.plan = held, plan
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.half = self.device.type == "cuda"  # bfloat16 where the hardware gains from it
        self.learned = {
            name: torch.tensor(np.array(array), device=self.device, requires_grad=True)
            for name, array in start.items()
        }
        self.means = {name: torch.zeros_like(tensor) for name, tensor in self.learned.items()}
        self.squares = {name: torch.zeros_like(tensor) for name, tensor in self.learned.items()}
        self.steps = 0
        self.kept: dict[str, Scores] = {}
        self.keep()
        self.inputs = np.minimum(given.lengths - 1 - held, plan.length)  # of each, to learn from
        self.rows = np.flatnonzero(self.inputs > 0)
        self.begins = given.starts[1:] - 1 - held - self.inputs
        judged = np.flatnonzero((held > 0) & (given.lengths > held))
        if len(judged) > JUDGED:
            judged = np.random.default_rng(plan.seed).choice(judged, JUDGED, replace=False)
        self.judged = np.sort(judged)
        self.width = max(1, min(plan.length, int(given.lengths.max(initial=1)) - 1))
        self.odds: Any = None
        if plan.negatives:
            ends = np.repeat(given.starts[1:] - held, given.lengths)
            learned = given.products[np.arange(len(ends)) < ends]
            counts = np.bincount(learned, minlength=len(start["products"])) + 1.0
            odds = torch.tensor(counts**POWER, device=self.device)
            self.odds = (odds / odds.sum()).float()

    def epoch(self, random: np.random.Generator) -> float:
        """One pass over all customers; the mean loss of its steps."""
        given = self.given.shuffled(random)
        blank = np.repeat(random.random(len(given.lengths)) < BLANK, given.lengths)
        traits = {name: np.where(blank, 0, trait) for name, trait in given.traits.items()}
        asked, losses = given.asked, []
        for places in batches(self.inputs[self.rows], self.plan.batch, random):
            rows = self.rows[places]
            pack = packed(self.begins[rows], self.inputs[rows], self.width)
            after = pack.places.reshape(-1)[pack.filled] + 1
            read = np.repeat(self.begins[rows], self.inputs[rows]) <= asked[after]
            wanted = np.flatnonzero(given.wanted[after] & read)
            if not len(wanted):
                continue
            told_by = wanted - (after - 1 - asked[after])[wanted]
            unit = self._unit()
            told = self._states(unit, given.products, traits, pack, told_by, self.plan.dropout)
            loss = self._loss(told, unit, self._tensor(given.products[after[wanted]]))
            loss.backward()
            self._step()
            losses.append(loss.detach())
        return float(sum(losses)) / max(1, len(losses))

    def gain(self) -> float:
        """Mean 1 / log2(1 + rank) of the held-out events among all products; nan for none."""
        import torch

        given, gains = self.given, []
        lengths = np.minimum(given.lengths - self.held, self.plan.length)
        unit = self._unit().detach()
        step = max(1, CELLS // len(unit))
        for start in range(0, len(self.judged), step):
            rows = self.judged[start : start + step]
            ends, held = given.starts[rows + 1] - self.held[rows], self.held[rows]
            pack = packed(ends - lengths[rows], lengths[rows], self.width)
            with torch.no_grad():
                last = np.cumsum(lengths[rows]) - 1
                told = self._states(unit, given.products, given.traits, pack, last)
                scores = told @ unit.T  # (rows, products)
                for nth in range(min(FEW, held.max())):
                    have = np.flatnonzero(
                        (held > nth) & given.wanted[ends + np.minimum(nth, held - 1)]
                    )
                    some = scores[self._tensor(have)]
                    right = some.gather(1, self._tensor(given.products[ends[have] + nth])[:, None])
                    gains.append(1 / np.log2(2 + (some > right).sum(1).cpu().numpy()))
        return float(np.concatenate(gains).mean()) if gains else float("nan")

    def keep(self) -> None:
        """Remember the arrays as they are now, products at length 1."""
        now = self.learned | {"products": self._unit()}
        self.kept = {name: array.detach().cpu().numpy().copy() for name, array in now.items()}

    def arrays(self, progress: Progress) -> dict[str, npt.NDArray[Any]]:
        """All that the rest of the run depends on, by name."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "progress": np.array([*progress, self.steps], np.float64)
        }
        for what, tensors in self._moving().items():
            for name, tensor in tensors.items():
                arrays[f"{what}.{name}"] = tensor.detach().cpu().numpy()
        for name, array in self.kept.items():
            arrays[f"kept.{name}"] = array
        return arrays

    def resume(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Progress:
        """Take back what `arrays` gave."""
        import torch

        done, best, gain, steps = arrays["progress"].tolist()
        self.steps = int(steps)
        for what, tensors in self._moving().items():
            for name, tensor in tensors.items():
                tensor.data.copy_(torch.from_numpy(arrays[f"{what}.{name}"]))
        self.kept = {name: arrays[f"kept.{name}"] for name in self.learned}
        return Progress(int(done), int(best), gain)

    def _moving(self) -> dict[str, dict[str, Any]]:
        return {"now": self.learned, "mean": self.means, "square": self.squares}

    def _step(self) -> None:
        """AdamW (Loshchilov, Hutter, 2019); torch.optim's would import a compiler for seconds."""
        import torch

        self.steps += 1
        rate = self.plan.rate * min(1.0, self.steps / WARM)
        one, two = (1 - beta**self.steps for beta in BETAS)
        with torch.no_grad():
            for name, tensor in self.learned.items():
                mean, square, gradient = self.means[name], self.squares[name], tensor.grad
                if gradient is None:
                    continue
                mean.lerp_(gradient, 1 - BETAS[0])
                square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                tensor.mul_(1 - rate * self.plan.decay)
                tensor.addcdiv_(mean, (square / two).sqrt_().add_(1e-8), value=-rate / one)
                tensor.grad = None

    def _unit(self) -> Any:
        from torch.nn import functional as fn

        return fn.normalize(self.learned["products"], dim=1)

    def _states(
        self,
        unit: Any,
        products: Numbers,
        traits: Mapping[str, Numbers],
        pack: Packed,
        only: Numbers,
        dropout: float = 0.0,
    ) -> Any:
        """(len(only), f): the state after some of the packed events, numbered as in `filled`."""
        import torch

        inputs = {
            name: self._tensor(codes[pack.places])
            for name, codes in {"products": products, **traits}.items()
            if name in self.learned
        }
        learned = self.learned | {"products": unit}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            told = states(learned, inputs, self._tensor(pack.marks), dropout)
        told = told.reshape(-1, told.shape[2])[self._tensor(pack.filled[only])]
        return told.float() / self.plan.temperature

    def _loss(self, told: Any, unit: Any, targets: Any) -> Any:
        import torch

        drawn = self.plan.negatives
        if not drawn:
            return full_loss(told, unit, targets)
        codes = torch.multinomial(self.odds, drawn, replacement=True)
        return sampled_loss(told, unit, targets, codes, (self.odds[codes] * drawn).log())

    def _tensor(self, numbers: npt.NDArray[Any]) -> Any:
        import torch

        return torch.as_tensor(numbers, device=self.device)
