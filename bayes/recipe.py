"""Every knob of an update, and how the ones left to us are chosen."""

from dataclasses import asdict, dataclass
from typing import Literal

from bayes.fields import Fields

LAMBDA = 50_000
SEED_MAX = 2**63 - 1


@dataclass(frozen=True)
class Recipe:
    """How a chunk is absorbed.

    Attributes:
        epochs: passes over the chunk.
        batch_rows: rows of a minibatch; the last one of a pass may have fewer.
        lr: Adam's learning rate of the means.
        lr_log_sigma: Adam's learning rate of the log standard deviations. Adam moves a parameter by at most its
            rate per step, so this bounds how far an update can carry them.
        lr_final: the part of both rates left at the last step; flat for the first half, then linear.
        beta: weight of the KL to the prior; every row counts 1 / beta times.
        log_sigma_start: where log sigma starts in the first update of a line, where the prior is wider.
        seed: enters the randomness of the update along with the prior and the chunk.
    """

    optimizer: Literal["adam"]
    epochs: int
    batch_rows: int
    lr: float
    lr_log_sigma: float
    lr_final: float
    beta: float
    log_sigma_start: float
    seed: int

    def to_description(self) -> dict[str, object]:
        return asdict(self)


def auto(rows: int) -> Recipe:
    """The recipe for chunks of this many rows."""
    batch_rows = 50 if rows < 2_000 else 100
    return Recipe(
        optimizer="adam",
        epochs=max(2, min(60, round(7_500 / rows))),
        batch_rows=min(batch_rows, rows),
        lr=1e-3,
        lr_log_sigma=2e-2,
        lr_final=0.02,
        beta=min(1.0, rows / LAMBDA),
        log_sigma_start=-5.0,
        seed=0,
    )


def resolve(value: object, where: str = "recipe", *, rows: int) -> Recipe:
    """The recipe that the JSON describes, the fields it leaves out chosen for chunks of `rows` rows.

    Raises:
        InvalidDescription: it describes none.
    """
    chosen = auto(rows)
    if value == "auto":
        return chosen
    fields = Fields(value, where)
    recipe = Recipe(
        optimizer=fields.choice("optimizer", ("adam",), chosen.optimizer),
        epochs=fields.whole("epochs", least=1, most=100_000, default=chosen.epochs),
        batch_rows=fields.whole("batch_rows", least=1, default=chosen.batch_rows),
        lr=fields.number("lr", above=0.0, default=chosen.lr),
        lr_log_sigma=fields.number("lr_log_sigma", above=0.0, default=chosen.lr_log_sigma),
        lr_final=fields.number("lr_final", above=0.0, most=1.0, default=chosen.lr_final),
        beta=fields.number("beta", above=0.0, default=chosen.beta),
        log_sigma_start=fields.number("log_sigma_start", above=-20.0, most=5.0, default=chosen.log_sigma_start),
        seed=fields.whole("seed", least=0, most=SEED_MAX, default=chosen.seed),
    )
    fields.close()
    return recipe
