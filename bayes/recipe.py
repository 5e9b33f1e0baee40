"""Every knob of an update, and how the ones left to us are chosen."""

import math
from dataclasses import asdict, dataclass
from typing import Literal

from bayes.errors import InvalidDescription
from bayes.families import FamilyName
from bayes.fields import Fields

OptimizerName = Literal["adam", "ivon"]

EVIDENCE_MAX, EVIDENCE_ROWS = 50_000, 500
SEED_MAX = 2**63 - 1
EPOCHS_MAX, STEPS_MAX = 100_000, 1_000_000


@dataclass(frozen=True)
class Recipe:
    """How a chunk is absorbed.

    Attributes:
        optimizer: "adam" on means and log standard deviations, or "ivon": variational online Newton, for family ffg.
        epochs: passes over the chunk.
        steps_least: a chunk so small that these passes make fewer steps gets as many passes as make so many.
        batch_rows: rows of a minibatch; the last one of a pass may have fewer.
        lr: how far a step moves a mean: Adam's learning rate of them, and the most that ivon moves them.
        lr_log_sigma: Adam's learning rate of the log standard deviations. Adam moves a parameter by at most its
            rate per step, so this bounds how far an update can carry them.
        lr_final: the part of both rates left at the last step; flat for the first half, then linear.
        beta: weight of the KL to the prior; every row counts 1 / beta times.
        log_sigma_start: where log sigma starts in the first update of a line, where the prior is wider.
        curvature_decay: the part of the curvature estimate that ivon keeps in a step while the learning rate is
            whole; what it takes of a new one falls with that rate.
        prior_power: alpha of the prior q^alpha root^(1 - alpha); below 1 it forgets, for streams that drift.
        shift_pixels: an image is moved by up to so many pixels, drawn anew for each step that it has a part in; 0
            leaves all as they are.
        seed: enters the randomness of the update along with the prior and the chunk.
    """

    optimizer: OptimizerName
    epochs: int
    steps_least: int
    batch_rows: int
    lr: float
    lr_log_sigma: float
    lr_final: float
    beta: float
    log_sigma_start: float
    curvature_decay: float
    prior_power: float
    shift_pixels: int
    seed: int

    def to_description(self) -> dict[str, object]:
        return asdict(self)

    def batch_rows_of(self, rows: int) -> int:
        """Rows of a full minibatch of a chunk of so many rows."""
        return min(self.batch_rows, rows)

    def passes(self, rows: int) -> int:
        """How often an update goes over a chunk of so many rows."""
        return max(self.epochs, math.ceil(self.steps_least / self._minibatches(rows)))

    def steps(self, rows: int) -> int:
        """How many steps an update takes with a chunk of so many rows."""
        return self.passes(rows) * self._minibatches(rows)

    def _minibatches(self, rows: int) -> int:
        return math.ceil(rows / self.batch_rows_of(rows))


def auto(
    rows: int,
    weights: int,
    *,
    of_numbers: bool = False,
    optimizer: OptimizerName = "adam",
    family: FamilyName = "ffg",
    shift_pixels: int = 0,
) -> Recipe:
    """The recipe for chunks of this many rows and a net of this many weights.

    A chunk counts like one row for each weight, or for every eighth weight beyond 50,000 rows; beyond 500 rows that
    limit grows with the square root of their number. Beta is the rows over that. Untempered, a few hundred rows cannot
    hold up hundreds of thousands of weights against the prior, and whole layers turn to noise. Small nets take more and
    larger steps, which cost them little, but not in a point, whom they overfit; and larger ones still by ivon, whose
    steps end where Newton's do; it learns the curvature in 20 steps. A smaller chunk, as time closes one, takes as many
    steps as one of these rows.

    Labels that are numbers hold a net up with fewer rows, and a temper is felt in every interval: for them beta is
    0.6 times the cube root of that, and small nets take 1,000 steps, of which ivon takes 100 to learn the curvature. As
    it then widens log sigma by less than 4, it starts wider.
    """
    is_small = weights < EVIDENCE_MAX
    limit = max(EVIDENCE_MAX, weights / 8) * math.sqrt(max(1.0, rows / EVIDENCE_ROWS))
    evidence = min(weights, limit)
    batch_rows = min(rows, 25 if rows < 200 else 50 if rows < 2_000 else 100)
    steps = (1_000 if of_numbers else 300) if is_small else 150
    adam_lr = (3e-3 if family == "point" else 2e-2) if is_small else 1e-3
    epochs = max(4, round(steps * batch_rows / rows))
    return Recipe(
        optimizer=optimizer,
        epochs=epochs,
        steps_least=epochs * math.ceil(rows / batch_rows),
        batch_rows=batch_rows,
        lr=(3e-2 if is_small else 2e-3) if optimizer == "ivon" else adam_lr,
        lr_log_sigma=2e-2,
        lr_final=0.02,
        beta=min(1.0, 0.6 * (rows / evidence) ** (1 / 3) if of_numbers else rows / evidence),
        log_sigma_start=-3.5 if optimizer == "ivon" and is_small else -5.0,
        # Adam has none, but the randomness of an update depends on every field.
        curvature_decay=(0.99 if of_numbers and is_small else 0.95) if optimizer == "ivon" else 0.99,
        prior_power=1.0,
        shift_pixels=shift_pixels,
        seed=0,
    )


def resolve(
    value: object,
    where: str = "recipe",
    *,
    rows: int,
    weights: int,
    of_numbers: bool = False,
    family: FamilyName = "ffg",
    shift_pixels: int = 0,
) -> Recipe:
    """The recipe that the JSON describes, the fields it leaves out chosen by `auto`, which is told `shift_pixels`.

    Passes that are given are meant: then `steps_least` is 0 unless it is given too.

    Raises:
        InvalidDescription: it describes none.
    """
    if value == "auto":
        return auto(rows, weights, of_numbers=of_numbers, family=family, shift_pixels=shift_pixels)
    fields = Fields(value, where)
    optimizer: OptimizerName = fields.choice("optimizer", ("adam", "ivon"), "adam")
    chosen = auto(rows, weights, of_numbers=of_numbers, optimizer=optimizer, family=family, shift_pixels=shift_pixels)
    steps_least = 0 if fields.has("epochs") else chosen.steps_least
    recipe = Recipe(
        optimizer=chosen.optimizer,
        epochs=fields.whole("epochs", least=1, most=EPOCHS_MAX, default=chosen.epochs),
        steps_least=fields.whole("steps_least", least=0, most=STEPS_MAX, default=steps_least),
        batch_rows=fields.whole("batch_rows", least=1, default=chosen.batch_rows),
        lr=fields.number("lr", above=0.0, default=chosen.lr),
        lr_log_sigma=fields.number("lr_log_sigma", above=0.0, default=chosen.lr_log_sigma),
        lr_final=fields.number("lr_final", above=0.0, most=1.0, default=chosen.lr_final),
        beta=fields.number("beta", above=0.0, default=chosen.beta),
        log_sigma_start=fields.number("log_sigma_start", above=-20.0, most=5.0, default=chosen.log_sigma_start),
        curvature_decay=fields.number("curvature_decay", above=0.0, most=1.0, default=chosen.curvature_decay),
        prior_power=fields.number("prior_power", above=0.0, most=1.0, default=chosen.prior_power),
        shift_pixels=fields.whole("shift_pixels", least=0, default=chosen.shift_pixels),
        seed=fields.whole("seed", least=0, most=SEED_MAX, default=chosen.seed),
    )
    fields.close()
    if recipe.optimizer == "ivon" and family != "ffg":
        raise InvalidDescription(fields.at("optimizer"), f"ivon is for the family ffg, not {family}")
    return recipe
