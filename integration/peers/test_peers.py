"""The gates of timm's and torchvision's networks are found, each of them and nothing else.

Captum's attributions of our networks add up to what they are to explain. None of these libraries is needed
by seblock, so plain `pytest` passes this file over by its name. It wants an environment of its own: see
`make peers`.
"""

from collections import Counter

import pytest
import timm
import torch
import torchvision
from captum.attr import DeepLift, IntegratedGradients
from timm.layers import (
    EcaModule,
    EffectiveSEModule,
    GatherExcite,
    GlobalContext,
    LayerScale2d,
    RmsNorm2d,
    SEModule,
)
from timm.layers.cbam import CbamModule
from timm.layers.grn import GlobalResponseNorm
from torch import nn

from seblock import cifar10, networks, others, photos, trained
from seblock.blocks import SELayer
from seblock.convert import to_fast
from seblock.gates import clamped, find, frozen, record

TIMM = {
    "seresnet50": {"SEModule": 16},
    "legacy_seresnext26_32x4d": {"SEModule": 8},
    "legacy_senet154": {"SEModule": 50},
    "nf_seresnet26": {"SEModule": 8},
    "dm_nfnet_f0": {"SEModule": 12},
    "regnety_008": {"SEModule": 14},
    "rexnet_100": {"SEModule": 13},
    "efficientnet_b0": {"SqueezeExcite": 16},
    "mobilenetv3_large_100": {"SqueezeExcite": 8},
    "ghostnet_100": {"SqueezeExcite": 7},
    "tinynet_a": {"SqueezeExcite": 19},
    "mixnet_s": {"SqueezeExcite": 13},
    "ecaresnet50d": {"EcaModule": 16},
    "ese_vovnet19b_dw": {"EffectiveSEModule": 4},
    "hgnet_tiny": {"EseModule": 5},
    "resnet50": {},
    "convnext_atto": {},
    "convnextv2_atto": {},  # global response norm
    "gcresnet50t": {},  # an added term
    "skresnet18": {},  # out of reach: no module of their own
    "resnest14d": {},
    "lambda_resnet26t": {},
    "densenet121": {},
}

TORCHVISION = {
    "mobilenet_v3_large": 8,
    "mobilenet_v3_small": 9,
    "efficientnet_b0": 16,
    "efficientnet_v2_s": 30,
    "regnet_y_400mf": 16,
    "resnet50": 0,
    "convnext_tiny": 0,
    "swin_t": 0,
    "googlenet": 0,
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64)


def kinds(network, names):
    return Counter(type(network.get_submodule(name)).__name__ for name in names)


@pytest.mark.parametrize("name", TIMM)
def test_the_gates_of_a_timm_network_are_found(name, images):
    network = timm.create_model(name)
    assert kinds(network, find(network, images)) == TIMM[name]


@pytest.mark.parametrize(
    ("name", "size", "gates"),
    [
        ("vit_tiny_patch16_224", 224, 0),
        ("swin_tiny_patch4_window7_224", 224, 0),
        ("coatnet_0_rw_224", 224, 5),
        ("fastvit_t8", 256, 1),
    ],
)
def test_transformers_have_the_gates_of_their_convolutions(name, size, gates):
    network = timm.create_model(name)
    assert kinds(network, find(network, torch.randn(1, 3, size, size))).total() == gates


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_gates_of_a_torchvision_network_are_found(name, images):
    network = getattr(torchvision.models, name)(weights=None)
    assert kinds(network, find(network, images)).total() == TORCHVISION[name]
    assert set(kinds(network, find(network, images))) <= {"SqueezeExcitation"}


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (lambda: SEModule(16), ["0"]),
        (lambda: EcaModule(16), ["0"]),
        (lambda: CbamModule(16), ["0.channel"]),
        (lambda: GlobalContext(16), ["0"]),
        (lambda: GlobalContext(16, fuse_add=True, fuse_scale=False), []),
        (lambda: GlobalResponseNorm(16, channels_last=False), []),
        (lambda: RmsNorm2d(16), []),
        (lambda: LayerScale2d(16), []),
    ],
)
def test_layers_with_random_weights_are_told_apart(layer, found):
    network = nn.Sequential(layer())
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    assert find(network, torch.randn(2, 16, 8, 8)) == found


def test_gates_are_recorded_and_replaced(images):
    network = timm.create_model("seresnet18", zero_init_last=False).eval()
    recorded = record(network, [images])
    assert [s.shape[1] for s in recorded.s.values()] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert all(((0 < s) & (s < 1) | s.isnan()).all() for s in recorded.s.values())
    with torch.no_grad():
        before = network(images)
        for intervention in (clamped(network, recorded), frozen(network, recorded, "layer4")):
            with intervention:
                assert (network(images) - before).abs().max() > 1e-4
        assert torch.equal(network(images), before)


@pytest.mark.parametrize(
    ("make", "replaced", "left"),
    [
        (lambda: timm.create_model("seresnet50"), 16, 0),
        (lambda: timm.create_model("legacy_seresnext26_32x4d"), 8, 0),
        (lambda: timm.create_model("regnety_008"), 14, 0),
        (lambda: timm.create_model("efficientnet_b0"), 0, 16),  # SiLU in the place of ReLU
        (lambda: timm.create_model("mobilenetv3_large_100"), 0, 8),  # a hard sigmoid
        (lambda: timm.create_model("ecaresnet50d"), 0, 16),
        (lambda: timm.create_model("resnet50"), 0, 0),
        (torchvision.models.regnet_y_400mf, 16, 0),
        (torchvision.models.mobilenet_v3_large, 0, 8),
        (torchvision.models.resnet50, 0, 0),
    ],
)
def test_to_fast_replaces_the_gates_that_it_reproduces_and_lists_the_others(make, replaced, left):
    model = make().eval()
    x = torch.randn(2, 3, 64, 64)
    state, expected = list(model.state_dict()), model(x)
    done = to_fast(model)
    assert (len(done.replaced), len(done.left)) == (replaced, left)
    torch.testing.assert_close(model(x), expected, rtol=1e-3, atol=1e-4)
    done.undo()
    assert list(model.state_dict()) == state
    torch.testing.assert_close(model(x), expected)


class Gated(nn.Module):
    """An SE block, its maps added up: (N, 8, H, W) -> (N, 8)."""

    def __init__(self):
        super().__init__()
        self.gate = SELayer(8, 2)

    def forward(self, x):
        return self.gate(x).sum((2, 3))


def explain(method, network, images, baseline, answer, **how):
    """What the attributions of each image add up to, and the difference of outputs that they explain."""
    attributed = method(network).attribute(images, baseline, target=answer, **how).flatten(1).sum(1)
    there, here = network(images), network(baseline)
    return attributed.detach(), (there - here).gather(1, answer[:, None])[:, 0].detach()


@pytest.fixture
def cuts():
    """Six cuts of photos, as a network of CIFAR-10 wants them, in double precision."""
    return cifar10.normalise(255 * photos.crops(32))[:6].double()


# Captum sets hooks and says so in warnings.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("weights", [None, "resnet20_6", "resnet20_24", "constant_resnet20_6"])
def test_attributions_by_deeplift_add_up_to_the_difference_of_outputs(weights, cuts):
    """It knows modules alone, and each in one place: a functional ReLU, or one used twice, breaks the sum."""
    network = networks.build(weights.rpartition("_")[0] if weights else "resnet20")
    if weights:
        trained.load(network, f"fleet_{weights}_0")
    network.double().eval()
    answer = network(cuts).argmax(1)
    added, expected = explain(DeepLift, network, cuts, cuts.roll(1, 0), answer)
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(added, expected, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_by_deeplift_an_se_block_misses_what_its_product_adds():
    """s u − s′ u′ = s Δu + u Δs − Δs Δu: gradients give the first two terms, and no rule the third."""
    network = Gated().double()
    images, baseline = torch.randn(2, 3, 8, 5, 4, dtype=torch.double)
    channel = torch.tensor([2, 2, 5])
    added, expected = explain(DeepLift, network, images, baseline, channel)
    s, before = (network.gate.fc(network.gate.avg_pool(u)) for u in (images, baseline))
    missed = ((s - before) * (images - baseline).sum((2, 3))).gather(1, channel[:, None])[:, 0]
    assert missed.abs().min() > 1e-4
    torch.testing.assert_close(added - expected, missed.detach(), rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_attributions_of_an_se_network_add_up_by_integrated_gradients(cuts):
    """They take products as they are, so they are the ones for SE; what is left is the integral's error."""
    network = trained.load(networks.build("se_resnet20"), "fleet_se_resnet20_6_0").double()
    images, answer = cuts[1:3], network(cuts[1:3]).argmax(1)
    baseline = torch.zeros_like(images)
    gaps = []
    for method, how in ((DeepLift, {}), (IntegratedGradients, {"n_steps": 100})):
        added, expected = explain(method, network, images, baseline, answer, **how)
        gaps.append(float((added - expected).abs().max()))
    assert expected.abs().min() > 1
    assert gaps[1] < 0.03 < 0.1 < gaps[0]


# Ours, timm's, and timm's name for each part of ours. Gather-excite with parameters is not compared: in timm
# 1.0.31 it raises TypeError when it is built, as does the form with 1×1 convolutions.
OTHERS = {
    "ECA, 64 channels": (lambda: others.ECA(64), lambda: EcaModule(64), {}),
    "ECA, 256 channels": (lambda: others.ECA(256), lambda: EcaModule(256), {}),
    "ECA, 2048 channels": (lambda: others.ECA(2048), lambda: EcaModule(2048), {}),
    "effective SE": (lambda: others.EffectiveSE(16), lambda: EffectiveSEModule(16), {}),
    "CBAM": (
        lambda: others.CBAM(32),
        lambda: CbamModule(32),
        {"channel.fc.0": "channel.fc1", "channel.fc.2": "channel.fc2"}
        | {"spatial.conv": "spatial.conv.conv", "spatial.norm": "spatial.conv.bn"},
    ),
    "gather-excite": (lambda: others.GatherExcite(16), lambda: GatherExcite(16, use_mlp=False), {}),
    "gather-excite, extent 4": (
        lambda: others.GatherExcite(16, 4),
        lambda: GatherExcite(16, extent=4, use_mlp=False),
        {},
    ),
    "global context": (
        lambda: others.GlobalContext(32),
        lambda: GlobalContext(32, fuse_add=True, fuse_scale=False, rd_ratio=1 / 16),
        {"attend": "conv_attn", "fc.0": "mlp_add.fc1", "fc.1": "mlp_add.norm", "fc.3": "mlp_add.fc2"},
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("training", [True, False])
def test_what_came_after_is_timm_s_on_the_same_weights(name, training):
    make, make_theirs, names = OTHERS[name]
    ours, theirs = make().double(), make_theirs().double()
    state = {}
    for key, value in ours.state_dict().items():
        module, _, parameter = key.rpartition(".")
        state[f"{names.get(module, module)}.{parameter}"] = value + 0.3 * torch.rand(value.shape)
    theirs.load_state_dict(
        {key: state[key].to(value.dtype).view_as(value) for key, value in theirs.state_dict().items()}
    )
    assert len(state) == len(theirs.state_dict())
    ours.load_state_dict(
        {
            key: new.view_as(old)
            for (key, old), new in zip(ours.state_dict().items(), state.values(), strict=True)
        }
    )
    for module in theirs.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5  # as in the published code; timm has 1e-6
    channels = make().channels
    x, g = torch.randn(2, 3, channels, 9, 7, dtype=torch.double)
    results = []
    for gate in (ours.train(training), theirs.train(training)):
        u = x.clone().requires_grad_()
        y = gate(u)
        gradients = torch.autograd.grad(y, [u, *gate.parameters()], g)
        results.append((y, *(gradient.flatten() for gradient in gradients)))
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(results[0][0], x, atol=1e-2)
