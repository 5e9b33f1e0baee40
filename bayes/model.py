"""A model as its client describes it: net, input, output, family, prior and recipe; nothing learned yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from bayes.errors import InvalidDescription
from bayes.families import FAMILIES, FamilyName, family_names
from bayes.families.kernels import most_products_per_row
from bayes.fields import Fields
from bayes.inputs import Input, read_input, write_input
from bayes.layers import Network, Shape
from bayes.nets import Net, network, read_net, write_net
from bayes.outputs import Gaussian, Output, read_output, write_output
from bayes.priors import Prior, WeightsPrior, read_prior, write_prior
from bayes.recipe import Recipe, resolve
from bayes.shifts import auto_shift, check_shift

CHUNK_ROWS = 500
NUMBERS_MAX = 300_000_000
PRODUCTS_MAX = 2**28
"""The most products of two numbers under a kernel that `cfg` makes of one row: 1 GiB in float32."""


OF_OTHERS = ("name", "retention", "publish", "gate", "surprise", "predictions")
"""Fields of a description that say nothing about how rows are learned from or predicted."""


@dataclass(frozen=True)
class Model:
    net: Net
    input: Input
    output: Output
    family: FamilyName
    prior: Prior
    recipe: Recipe

    @classmethod
    def from_description(cls, description: Mapping[str, object]) -> "Model":
        """The model that the JSON describes, all it leaves out filled in.

        What is of others (name, retention, publish and the like) is left to them; of `chunk`, its rows choose the
        recipe's automatic fields.

        Raises:
            InvalidDescription: it describes none; `where` says which part.
        """
        fields = Fields(description, "")
        for name in OF_OTHERS:
            fields.take(name, None)
        chunk = Fields(fields.take("chunk", {}), "chunk")
        net, rows = read_net(fields.take("net")), read_input(fields.take("input"))
        output = read_output(fields.take("output"))
        family = fields.choice("family", family_names(), "ffg")
        placed = network(net, rows.shape, output.units)
        _check_size(family, placed)
        if family == "cfg":
            _check_products(net, rows.shape, output.units)
        model = cls(
            net=net,
            input=rows,
            output=output,
            family=family,
            prior=read_prior(fields.take("prior", {"kind": "gaussian"})),
            recipe=resolve(
                fields.take("recipe", "auto"),
                rows=chunk.whole("rows", least=1, default=CHUNK_ROWS),
                weights=placed.weights,
                of_numbers=isinstance(output, Gaussian),
                family=family,
                shift_pixels=auto_shift(net, rows.shape, output),
            ),
        )
        fields.close()
        check_shift(model.recipe.shift_pixels, rows.shape)
        return model

    def to_description(self) -> dict[str, object]:
        """The JSON that `from_description` reads back as this model, every default written out."""
        return {
            "net": write_net(self.net),
            "input": write_input(self.input),
            "output": write_output(self.output),
            "family": self.family,
            "prior": write_prior(self.prior),
            "recipe": self.recipe.to_description(),
        }

    @property
    def network(self) -> Network:
        """The net in place between this input and output."""
        return network(self.net, self.input.shape, self.output.units)

    @property
    def is_on_grid(self) -> bool:
        """The first chunk of a line has to choose the prior's sigma; a point has no use for any."""
        return isinstance(self.prior, WeightsPrior) and len(self.prior.sigmas) > 1 and self.family != "point"


def _check_size(family: FamilyName, network: Network) -> None:
    numbers = sum(prod(shape) for layer in network.weighted for shape in FAMILIES[family].shapes(layer).values())
    if numbers > NUMBERS_MAX:
        raise InvalidDescription(
            "family", f"{family} would keep {numbers} numbers for this net; at most {NUMBERS_MAX} are accepted"
        )


@lru_cache(maxsize=64)
def _check_products(net: Net, input_shape: Shape, outputs: int) -> None:
    products = most_products_per_row(network(net, input_shape, outputs), input_shape)
    if products > PRODUCTS_MAX:
        raise InvalidDescription(
            "family",
            f"cfg would make {products} products of the numbers under a kernel for one row; at most {PRODUCTS_MAX} are"
            " accepted",
        )
