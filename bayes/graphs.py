"""Nets whose steps form a graph, as `torch.fx` traces them: branches, sums and concatenations."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch.fx.node import map_arg

from bayes.layers import Affine, LinearOf, Other, ScalingOf, Value, Weighted, plain


@dataclass(frozen=True)
class Node:
    """One step of a graph: its name, what it does, to which results of others, and which of them it is the last to use.

    The results of others are the `torch.fx` nodes among the arguments, at any depth; only their names count.
    """

    name: str
    step: Weighted | Affine | Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    last_uses: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Steps, each behind those that it needs; `input` names the rows, and the last step gives the outputs."""

    input: str
    nodes: tuple[Node, ...]

    def run(self, x: Value, linear: LinearOf[Value], scaling: ScalingOf[Value], other: Other = plain) -> Value:
        """The outputs for rows x, where the functions do their parts, as `layers.Run` says."""
        [outputs] = deque(self.results(x, linear, scaling, other), maxlen=1)
        assert isinstance(outputs, type(x))
        return outputs

    def results(
        self, x: Value, linear: LinearOf[Value], scaling: ScalingOf[Value], other: Other = plain
    ) -> Iterator[object]:
        """What each step gives, in their order; no result is held longer than another step needs it."""
        values: dict[str, Any] = {self.input: x}
        for node in self.nodes:
            args: tuple[Any, ...] = map_arg(node.args, lambda source: values[source.name])
            match node.step:
                case Weighted() as layer:
                    values[node.name] = linear(layer, *args)
                case Affine() as layer:
                    values[node.name] = scaling(layer, *args)
                case function:
                    kwargs: Mapping[str, Any] = map_arg(node.kwargs, lambda source: values[source.name])
                    values[node.name] = other(function, *args, **kwargs)
            del args
            yield values[node.name]
            for name in node.last_uses:
                del values[name]
