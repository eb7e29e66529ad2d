"""The gates of timm's and torchvision's networks are found, each of them and nothing else.

Neither library is needed by seblock, so plain `pytest` passes this file over by its name. It wants an
environment of its own: see `make peers`.
"""

from collections import Counter

import pytest
import timm
import torch
import torchvision
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

from seblock import others
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
