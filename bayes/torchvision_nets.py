"""Classification models of torchvision, by name, as networks whose convolutions and dense layers have weights."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from math import prod
from threading import Lock
from typing import Any

import torch
import torchvision
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError
from torch.overrides import TorchFunctionMode

from bayes.errors import InvalidDescription
from bayes.graphs import Graph, Node
from bayes.layers import Affine, Conv, Dense, Network, Shape, Weighted, apply
from bayes.work import TRACED_WORK_MAX, check_work, of_weighted

WITHOUT_WARNING: Mapping[str, dict[str, bool]] = {
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
}
"""Arguments without which a model warns of how it draws weights, which none does here."""
WHERE = "net.name"
NAMED_MAX = 4
_tracing = Lock()


class WithoutStorage(TorchFunctionMode):
    """While entered, `torch.empty`, by which layers make their weights, gives shapes without numbers."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        where = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **where})


@cache
def names() -> tuple[str, ...]:
    """The classification models that torchvision knows, whether they can be nets here or not."""
    return tuple(torchvision.models.list_models(module=torchvision.models))


def check_name(name: str, where: str) -> None:
    """Torchvision knows a classification model of this name.

    Raises:
        InvalidDescription: it does not.
    """
    if name not in names():
        near = get_close_matches(name, names(), n=3) or ["resnet18"]
        raise InvalidDescription(
            where, f"must be a classification model of torchvision, such as {', '.join(near)}; not {name!r}"
        )


def trace(name: str, input_shape: Shape, outputs: int) -> Network:
    """The model in place behind images of this shape, its last layer with so many outputs.

    Convolutions and dense layers have weights, under the names of their modules; BatchNorm is a fixed scale and shift;
    dropout and stochastic depth do nothing, as in evaluation.

    Raises:
        InvalidDescription: it has parameters of other kinds, does not fit the input, or makes too much work of a row.
    """
    graph = _graph(name, outputs)
    steps = [node.step for node in graph.nodes]
    weighted = tuple(step for step in steps if isinstance(step, Weighted))
    if len(input_shape) != 3 or input_shape[0] != weighted[0].inputs:
        raise InvalidDescription("net", f"{name} takes images [{weighted[0].inputs}, height, width], not {input_shape}")
    try:
        shapes, work = _measured(graph, input_shape)
    except RuntimeError as fault:
        raise InvalidDescription("net", f"{name} does not fit inputs {input_shape}: {fault}") from fault
    assert shapes[-1] == (1, outputs), f"{name} gives {shapes[-1]}"
    check_work(work, "net", most=TRACED_WORK_MAX)
    return Network(
        weighted=weighted,
        run=graph.run,
        width=max(prod(input_shape), *map(prod, shapes)),
        affine=tuple(step for step in steps if isinstance(step, Affine)),
        is_chain=False,
    )


def _measured(graph: Graph, input_shape: Shape) -> tuple[list[Shape], int]:
    """The shape of each tensor that the graph makes of one row, and its multiply-adds in layers with weights."""
    work = 0

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        nonlocal work
        bias = torch.empty(layer.bias_shape, device="meta")
        result = apply(layer, x, torch.empty(layer.weight_shape, device="meta"), bias)
        work += of_weighted(layer, tuple(result.shape[1:]))
        return result

    results = graph.results(torch.empty((1, *input_shape), device="meta"), linear, lambda _, x: x)
    return [tuple(result.shape) for result in results if isinstance(result, Tensor)], work


@lru_cache(maxsize=64)
def _graph(name: str, outputs: int) -> Graph:
    """The model's steps, whatever its input.

    Raises:
        InvalidDescription: it has parameters of other kinds than are known here.
    """
    model, traced = _traced(name, outputs)
    inputs = [node.name for node in traced.nodes if node.op == "placeholder"]
    computing = [node for node in traced.nodes if node.op not in {"placeholder", "output"}]
    unknown = sorted({what for node in computing if (what := _unknown(node, model))})
    if unknown:
        named = ", ".join(unknown[:NAMED_MAX]) + (" and others" if len(unknown) > NAMED_MAX else "")
        raise InvalidDescription(WHERE, f"{name} has parts that cannot be learned here: {named}")
    assert len(inputs) == 1
    last_uses: dict[str, list[str]] = {}
    seen: set[str] = set()
    for node in reversed(computing):
        fresh = [source.name for source in node.all_input_nodes if source.name not in seen]
        last_uses[node.name] = fresh
        seen.update(fresh)
    nodes = [_node(node, model, tuple(last_uses[node.name])) for node in computing]
    return Graph(inputs[0], tuple(nodes))


def _traced(name: str, outputs: int) -> tuple[nn.Module, fx.Graph]:
    """The model as in evaluation, its weights without numbers, and its steps.

    Raises:
        InvalidDescription: its steps depend on the rows.
    """
    # Tracing replaces how modules are called, in all threads; steps therefore call no module, only its `forward`.
    with _tracing, WithoutStorage():
        model = torchvision.models.get_model(
            name, weights=None, num_classes=outputs, **WITHOUT_WARNING.get(name, {})
        ).eval()
        try:
            return model, fx.Tracer().trace(model)
        except TraceError as fault:
            raise InvalidDescription(WHERE, f"the steps of {name} depend on the rows: {fault}") from fault


def _unknown(node: fx.Node, model: nn.Module) -> str | None:
    """What of the step cannot be learned here; None: nothing."""
    if node.op == "get_attr":
        return f"a parameter {str(node.target).rpartition('.')[2]}"
    if node.op != "call_module":
        return None
    match module := model.get_submodule(str(node.target)):
        case nn.Conv2d():
            sides = (module.kernel_size, module.stride, module.padding, module.dilation)
            is_known = all(len(set(side)) == 1 for side in sides) and module.dilation[0] == 1
            return None if is_known else f"convolutions of {' x '.join(map(str, module.kernel_size))}"
        case nn.Linear() | nn.BatchNorm2d():
            return None
        case _:
            has_tensors = any(True for _ in (*module.parameters(), *module.buffers()))
            return type(module).__name__ if has_tensors else None


def _node(node: fx.Node, model: nn.Module, last_uses: tuple[str, ...]) -> Node:
    """The step; none writes into what it is given, as the layer before may need it for its gradient."""
    kwargs = {key: False if key == "inplace" else value for key, value in node.kwargs.items()}
    step: Weighted | Affine | Callable[..., Any]
    match node.op:
        case "call_module":
            step = _of_module(str(node.target), model.get_submodule(str(node.target)))
        case "call_method":
            step = getattr(Tensor, str(node.target))
        case _:
            assert callable(node.target)
            step = node.target
    return Node(node.name, step, node.args, kwargs, last_uses)


def _of_module(name: str, module: nn.Module) -> Weighted | Affine | Callable[..., Any]:
    match module:
        case nn.Conv2d():
            layer = Conv(module.out_channels, module.kernel_size[0], int(module.padding[0]), module.stride[0])
            return Weighted(name, layer, module.in_channels, module.groups, module.bias is not None)
        case nn.Linear():
            return Weighted(name, Dense(module.out_features), module.in_features, is_biased=module.bias is not None)
        case nn.BatchNorm2d():
            return Affine(name, module.num_features, module.eps)
        case _:
            if "inplace" in vars(module):
                vars(module)["inplace"] = False
            return module.forward
