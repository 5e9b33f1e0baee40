import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from bayes import flows

SIZES = [1, 2, 7, 40]


def random_flow(size: int, scale: float = 0.5) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(size)
    flow = flows.identity(size, 0.1, stream)
    return {
        key: tensor.double() + (0 if key == flows.MASK else scale * torch.randn(tensor.shape, generator=stream))
        for key, tensor in flow.items()
    }


def points(size: int) -> Tensor:
    return 1 + torch.randn((6, size), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.1, 3.0], ids=["gentle", "at its bounds"])
def test_the_inverse_undoes_the_map_and_its_scales(size: int, scale: float) -> None:
    flow, z = random_flow(size, scale), points(size)

    mapped = flows.forward(flow, z)
    back = flows.inverse(flow, mapped.z)

    assert not torch.allclose(mapped.z, z)
    torch.testing.assert_close(back.z, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(back.log_scale, -mapped.log_scale, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_the_scales_are_the_log_determinant_of_the_jacobian(size: int) -> None:
    flow, z = random_flow(size), points(size)

    jacobian = vmap(jacrev(lambda one: flows.forward(flow, one.unsqueeze(0)).z[0]))(z)

    expected = torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(flows.forward(flow, z).log_scale.sum(1), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_a_new_flow_changes_nothing(size: int) -> None:
    flow, z = flows.identity(size, 0.1, torch.Generator().manual_seed(0)), points(size).float()

    mapped = flows.forward(flow, z)

    assert torch.equal(mapped.z, z)
    assert not bool(mapped.log_scale.any())
    assert {key: tuple(tensor.shape) for key, tensor in flow.items()} == flows.shapes(size)


@pytest.mark.parametrize("size", SIZES)
def test_masks_are_of_0_and_1_in_complementary_pairs_so_that_every_entry_moves(size: int) -> None:
    masks = flows.identity(size, 0.1, torch.Generator().manual_seed(0))[flows.MASK]

    assert set(masks.flatten().tolist()) <= {0.0, 1.0}
    assert torch.equal(masks[0] + masks[1], torch.ones(size))
    assert torch.equal(masks[2] + masks[3], torch.ones(size))
    assert float(masks[0].sum()) == size // 2


def test_a_kept_entry_is_moved_by_the_other_coupling_of_the_pair_alone() -> None:
    flow, z = random_flow(7), points(7)
    first = {key: tensor[:1] for key, tensor in flow.items()}

    mapped = flows.forward(first, z)

    kept = flow[flows.MASK][0] == 1
    assert torch.equal(mapped.z[:, kept], z[:, kept])
    assert bool((mapped.z[:, ~kept] != z[:, ~kept]).all())
