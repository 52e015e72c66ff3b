"""Linear layers through oneDNN: the same numbers up to float32's rounding, small ones and gradients as before."""

from pathlib import Path

import pytest
import torch
from torch import nn

from harness.backends.hf.onednn_linear import MIN_MULTIPLICATIONS, pays, use_onednn


@pytest.mark.parametrize("bias", [True, False])
def test_large_products_are_equal_up_to_rounding_and_small_ones_to_the_bit(bias: bool) -> None:
    torch.manual_seed(0)
    layer, plain = nn.Linear(300, 500, bias=bias), nn.Linear(300, 500, bias=bias)
    plain.load_state_dict(layer.state_dict())
    assert use_onednn(nn.Sequential(layer, nn.ReLU())) == 1
    few, many = torch.randn(1, 9, 300), torch.randn(4, 10, 300)
    assert few.numel() * 500 < MIN_MULTIPLICATIONS <= many.numel() * 500
    with torch.inference_mode():
        assert torch.equal(layer(few), plain(few))
        assert layer(many).shape == (4, 10, 500)
        exact = many.double() @ plain.weight.double().T + (plain.bias.double() if bias else 0.0)
        assert (layer(many) - exact).abs().max() < 3 * (plain(many) - exact).abs().max() < 1e-5


def test_a_gradient_is_computed_as_without() -> None:
    layer = nn.Linear(300, 500)
    use_onednn(layer)
    layer(torch.randn(40, 300)).sum().backward()
    assert layer.weight.grad is not None


def test_other_types_of_numbers_and_of_layers_are_let_alone() -> None:
    class Other(nn.Linear):
        pass

    assert use_onednn(nn.Sequential(nn.Linear(4, 4).bfloat16(), Other(4, 4), nn.Embedding(4, 4))) == 0
    hooked = nn.Linear(4, 4)
    assert (use_onednn(hooked), use_onednn(hooked)) == (1, 0)


def test_a_processor_of_intels_keeps_its_own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "cpuinfo"
    for maker, wanted in (("GenuineIntel", False), ("AuthenticAMD", True)):
        told.write_text(f"processor : 0\nvendor_id : {maker}\n")
        assert pays(told) == wanted
    assert pays(tmp_path / "none")
    monkeypatch.setattr("torch.backends.mkl.is_available", lambda: False)
    told.write_text("vendor_id : GenuineIntel\n")
    assert pays(told)
