"""What a network does, asked before anything is computed: its steps, and which layers have inputs that are not sure."""

from typing import Any, NamedTuple

from torch import nn

from bayes.families import FAMILIES, FamilyName
from bayes.layers import Network, Weighted
from bayes.moment_rules import rule_of


class Survey(NamedTuple):
    """What a network does: its steps without weights, and the layers whose inputs are not sure."""

    steps: list[object]
    unsure: frozenset[str]


def survey(network: Network) -> Survey:
    """The network run on the question of what is sure; weights never are."""
    steps: list[object] = []
    unsure: set[str] = set()

    def linear(layer: Weighted, x: bool) -> bool:
        if x:
            unsure.add(layer.name)
        return True

    def other(step: object, *args: Any) -> bool:  # noqa: ANN401
        steps.append(step)
        return any(part is True for part in _flat(args))

    network.run(False, linear, lambda _, x: x, lambda step, *args, **_: other(step, *args))
    return Survey(steps, frozenset(unsure))


def obstacle(family: FamilyName, network: Network) -> str | None:
    """Why the moments of weights of this family cannot pass through the net; None: they can."""
    if not FAMILIES[family].has_moments:
        return f"weights of family {family} have no moments in closed form"
    steps = sorted({_name(step) for step in survey(network).steps if rule_of(step) is None})
    return f"the net has steps without a rule for moments: {', '.join(steps)}" if steps else None


def _name(step: object) -> str:
    module = getattr(step, "__self__", None)
    return type(module).__name__ if isinstance(module, nn.Module) else str(getattr(step, "__name__", step))


def _flat(value: Any) -> list[Any]:  # noqa: ANN401
    return [found for part in value for found in _flat(part)] if isinstance(value, tuple | list) else [value]
