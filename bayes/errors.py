# ruff: noqa: N818 - The names are what clients read; "Error" behind each says nothing more.
"""Everything that can go wrong here for reasons of the world's; the rest is an assertion."""


class BayesError(Exception):
    """The root of this package's errors."""


class InvalidDescription(BayesError):
    """The description of a model cannot be used; `where` is the path of the fault, as in `net.layers.2`."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where
        self.message = message


class UnreadablePosterior(BayesError):
    """The bytes are not a posterior that this version of the package reads."""


class UnreadableExport(BayesError):
    """The bytes are not an exported version, or not what they say they are."""


class NoStateDict(BayesError):
    """No plain weights do what the posterior's mean net does."""


class InvalidChunk(BayesError):
    """The labeled rows contradict themselves or do not fit the model."""


class InvalidInputs(BayesError):
    """The inputs of a prediction do not fit the model."""


class FamilyMismatch(BayesError):
    """Two posteriors that must share family, net and shapes do not."""


class UpdateDiverged(BayesError):
    """An update's loss, posterior or report left the finite numbers; nothing was learned."""


class DeviceUnusable(BayesError):
    """The device is not there, or torch cannot use it."""
