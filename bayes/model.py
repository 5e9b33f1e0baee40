"""A model as its client describes it: net, input, output, family, prior and recipe; nothing learned yet."""

from collections.abc import Mapping
from dataclasses import dataclass

from bayes.families import FamilyName, family_names
from bayes.fields import Fields, number
from bayes.inputs import Input, read_input, write_input
from bayes.layers import Network
from bayes.nets import Net, network, read_net, write_net
from bayes.outputs import Output, read_output, write_output
from bayes.recipe import Recipe, resolve

CHUNK_ROWS = 500
SIGMA_LEAST, SIGMA_MOST = 1e-6, 1e3


@dataclass(frozen=True)
class GaussianPrior:
    """Every weight starts as N(0, sigma^2); None: 2 / sqrt(fan-in) for each layer's weights, 0.2 for its biases.

    Sigma lies between 1e-6 and 1000, where precision and variance of the weights are far from the ends of float32.
    """

    sigma: float | None = None


@dataclass(frozen=True)
class Model:
    net: Net
    input: Input
    output: Output
    family: FamilyName
    prior: GaussianPrior
    recipe: Recipe

    @classmethod
    def from_description(cls, description: Mapping[str, object]) -> "Model":
        """The model that the JSON describes, all it leaves out filled in.

        `name` and `retention` are left to others; of `chunk`, its rows choose the recipe's automatic fields.

        Raises:
            InvalidDescription: it describes none; `where` says which part.
        """
        fields = Fields(description, "")
        fields.take("name", None)
        fields.take("retention", None)
        chunk = Fields(fields.take("chunk", {}), "chunk")
        net, rows = read_net(fields.take("net")), read_input(fields.take("input"))
        output = read_output(fields.take("output"))
        family = fields.choice("family", family_names(), "ffg")
        model = cls(
            net=net,
            input=rows,
            output=output,
            family=family,
            prior=_read_prior(fields.take("prior", {"kind": "gaussian"})),
            recipe=resolve(
                fields.take("recipe", "auto"),
                rows=chunk.whole("rows", least=1, default=CHUNK_ROWS),
                weights=network(net, rows.shape, output.units).weights,
                family=family,
            ),
        )
        fields.close()
        return model

    def to_description(self) -> dict[str, object]:
        """The JSON that `from_description` reads back as this model, every default written out."""
        return {
            "net": write_net(self.net),
            "input": write_input(self.input),
            "output": write_output(self.output),
            "family": self.family,
            "prior": {"kind": "gaussian", "sigma": self.prior.sigma},
            "recipe": self.recipe.to_description(),
        }

    @property
    def network(self) -> Network:
        """The net in place between this input and output."""
        return network(self.net, self.input.shape, self.output.units)


def _read_prior(value: object) -> GaussianPrior:
    fields = Fields(value, "prior")
    fields.choice("kind", ("gaussian",))
    sigma = fields.take("sigma", None)
    fields.close()
    return GaussianPrior(None if sigma is None else number(sigma, "prior.sigma", least=SIGMA_LEAST, most=SIGMA_MOST))
