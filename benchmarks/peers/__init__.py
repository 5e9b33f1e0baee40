"""Other libraries for Bayesian nets, each used as its own documentation says, on the same net and the same rows."""

from __future__ import annotations

from importlib.util import find_spec

MODULES = (
    *("bayesian_torch", "torchbnn", "blitz", "posteriors", "torch_blue", "ivon"),
    *("torch_uncertainty", "lightning", "laplace"),
)


def require() -> None:
    """All of them are installed.

    Raises:
        SystemExit: one is not; the message says how to install it.
    """
    missing = [module for module in MODULES if find_spec(module) is None]
    if missing:
        raise SystemExit(
            f"{', '.join(missing)}: not installed here. They are an extra of this project's: "
            "pip install -c constraints.txt -e '.[peers]'"
        )
