"""What a model's weights are before any rows: vague, or learned elsewhere."""

import re
from dataclasses import dataclass
from typing import Literal, assert_never

from bayes.errors import InvalidDescription
from bayes.fields import Fields, kind_of, number, sequence, whole

SIGMA_LEAST, SIGMA_MOST = 1e-6, 1e3
SIGMAS_MAX = 16
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

PriorKind = Literal["gaussian", "weights", "laplace"]
Head = Literal["keep", "fresh"]
"""What becomes of the output layer of weights learned elsewhere: kept, or vague."""


@dataclass(frozen=True)
class GaussianPrior:
    """Every weight starts as N(0, sigma^2); None: 2 / sqrt(fan-in) for each layer's weights, 0.2 for its biases.

    Sigma lies between 1e-6 and 1000, where precision and variance of the weights are far from the ends of float32.
    """

    sigma: float | None = None
    kind: Literal["gaussian"] = "gaussian"


@dataclass(frozen=True)
class WeightsPrior:
    """Every weight starts as N(w*, sigma^2), with the w* of the blob.

    Of several sigmas the first chunk chooses one; until then the prior has the widest.
    """

    blob: str
    sigmas: tuple[float, ...]
    head: Head = "keep"
    kind: Literal["weights"] = "weights"

    @property
    def is_grid(self) -> bool:
        return len(self.sigmas) > 1

    @property
    def digests(self) -> dict[str, str]:
        """The blobs that the prior is made of, by the key that names each."""
        return {"blob": self.blob}


@dataclass(frozen=True)
class LaplacePrior:
    """Every weight starts as the diagonal Laplace approximation around the w* of the blob, from a batch of old rows.

    Attributes:
        batch: the blob of the old rows' inputs.
        rows: how many rows the batch stands for; None: as many as it has, or as a chunk of the automatic recipe weighs.
        sigma: the standard deviation without any rows; None: the vague one of `GaussianPrior`.
    """

    blob: str
    batch: str
    rows: int | None = None
    sigma: float | None = None
    head: Head = "keep"
    kind: Literal["laplace"] = "laplace"

    @property
    def digests(self) -> dict[str, str]:
        """The blobs that the prior is made of, by the key that names each."""
        return {"blob": self.blob, "batch": self.batch}


Prior = GaussianPrior | WeightsPrior | LaplacePrior


def read_prior(value: object, where: str = "prior") -> Prior:
    """The prior that the JSON describes.

    Raises:
        InvalidDescription: it describes none.
    """
    fields = Fields(value, where)
    kind: PriorKind = fields.choice("kind", ("gaussian", "weights", "laplace"))
    prior: Prior
    match kind:
        case "gaussian":
            prior = GaussianPrior(_sigma_or_none(fields))
        case "weights":
            prior = WeightsPrior(_digest(fields, "blob"), _sigmas(fields), _head(fields))
        case "laplace":
            rows = fields.take("rows", None)
            prior = LaplacePrior(
                blob=_digest(fields, "blob"),
                batch=_digest(fields, "batch"),
                rows=None if rows is None else whole(rows, fields.at("rows"), least=1),
                sigma=_sigma_or_none(fields),
                head=_head(fields),
            )
        case _:
            assert_never(kind)
    fields.close()
    return prior


def write_prior(prior: Prior) -> dict[str, object]:
    """The JSON that `read_prior` reads back as this prior."""
    match prior:
        case WeightsPrior(blob, sigmas, head):
            width: dict[str, object] = {"sigmas": list(sigmas)} if prior.is_grid else {"sigma": sigmas[0]}
            return {"kind": prior.kind, "blob": blob, **width, "head": head}
        case GaussianPrior() | LaplacePrior():
            stated = {name: value for name, value in vars(prior).items() if name != "kind"}
            return {"kind": prior.kind, **stated}
        case _:
            assert_never(prior)


def _sigma_or_none(fields: Fields) -> float | None:
    sigma = fields.take("sigma", None)
    return None if sigma is None else _sigma(sigma, fields.at("sigma"))


def _sigma(value: object, where: str) -> float:
    return number(value, where, least=SIGMA_LEAST, most=SIGMA_MOST)


def _sigmas(fields: Fields) -> tuple[float, ...]:
    one, several = fields.take("sigma", None), fields.take("sigmas", None)
    if (one is None) == (several is None):
        raise InvalidDescription(fields.at("sigma"), "must be given, or sigmas to choose from; one of the two")
    if several is None:
        return (_sigma(one, fields.at("sigma")),)
    where = fields.at("sigmas")
    listed = sequence(several, where)
    if not 1 <= len(listed) <= SIGMAS_MAX:
        raise InvalidDescription(where, f"must have 1 to {SIGMAS_MAX} numbers, not {len(listed)}")
    sigmas = tuple(_sigma(sigma, f"{where}.{index}") for index, sigma in enumerate(listed))
    if len(set(sigmas)) < len(sigmas):
        raise InvalidDescription(where, "names a number a second time")
    return sigmas


def _digest(fields: Fields, key: str) -> str:
    value = fields.take(key)
    if not isinstance(value, str):
        raise InvalidDescription(fields.at(key), f"must be the digest of a blob, not {kind_of(value)}")
    if not DIGEST.fullmatch(value):
        raise InvalidDescription(fields.at(key), "must be sha256: and 64 hexadecimal digits, the digest of a blob")
    return value


def _head(fields: Fields) -> Head:
    return fields.choice("head", ("keep", "fresh"), "keep")
