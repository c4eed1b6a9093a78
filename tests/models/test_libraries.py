"""Networks of torchvision and timm: attention, blocks, sizes of images, normalisation, weights, and a search."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lth.config import Config, Data, Model
from lth.errors import DataError, UsageError
from lth.hashes import differing
from lth.invariants.verify import verify
from lth.models import blocks, cut, flops, weights
from lth.models.build import Network, build, check
from lth.pruning import flow
from lth.pruning import masks as M
from lth.tree.spec import chain
from tests.training import run

TIMM = pytest.param("timm", marks=pytest.mark.skipif("not __import__('importlib.util').util.find_spec('timm')"))


def config(name: str, library: str = "torchvision", size: int = 32, finetune: str = "all", **data) -> Config:
    return Config(model=Model(name, library=library), data=Data(image_size=size, **data), finetune=finetune)


def network(*args, **options) -> Network:
    torch.manual_seed(0)
    return build(config(*args, **options), 6)


NEVER = r"(class_token|cls_token|pos_embedding|pos_embed|relative_position_bias_table)$"


@pytest.mark.parametrize(
    ("library", "name", "size", "attention"),
    [
        ("torchvision", "vit_b_16", 32, {"in_proj_weight": 12, "out_proj.weight": 12}),
        ("torchvision", "swin_t", 32, {"attn.qkv.weight": 12, "attn.proj.weight": 12}),
        pytest.param("timm", "vit_tiny_patch16_224", 32, {"attn.qkv.weight": 12, "attn.proj.weight": 12}, marks=TIMM.marks),
        pytest.param("timm", "swin_tiny_patch4_window7_224", 64, {"attn.qkv.weight": 12}, marks=TIMM.marks),
    ],
)
def test_all_that_attention_multiplies_is_pruned_and_counted_and_nothing_else(library, name, size, attention):
    net = network(name, library, size).net
    pruned = M.prunable(net)
    assert {end: sum(n.endswith(end) for n in pruned) for end in attention} == attention
    matrices = [n for n, p in net.named_parameters() if p.ndim > 1]
    assert pruned == [n for n in matrices if not re.search(NEVER, n)]
    counted = flops.per_layer(net, size)
    assert set(counted) == {*pruned, "attention"}
    assert min(counted.values()) > 0
    if name != "vit_b_16":  # 86 M weights take long
        masks = M.dense({n: net.get_parameter(n) for n in pruned})
        assert flow.effective_density(net, masks, (3, size, size)) == 1


def test_projections_of_inputs_of_several_widths_are_prunable_and_biases_are_not():
    net = nn.MultiheadAttention(8, 2, kdim=4, vdim=6, add_bias_kv=True)
    assert M.prunable(net) == ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"]


@pytest.mark.parametrize(
    ("library", "name", "names"),
    [
        ("torchvision", "vit_b_16", ["conv_proj", *[f"encoder_layer_{i}" for i in range(12)], "ln", "heads"]),
        ("torchvision", "swin_t", [*[f"features.{i}" for i in range(8)], "norm", "head"]),
        pytest.param(
            "timm", "vit_tiny_patch16_224", ["patch_embed", *[f"blocks.{i}" for i in range(12)], "norm", "head"], marks=TIMM.marks
        ),
        pytest.param("timm", "test_resnet", ["conv1", "bn1", *[f"layer{i}" for i in range(1, 5)], "fc"], marks=TIMM.marks),
    ],
)
def test_blocks_are_those_that_people_name_and_what_is_before_them_runs_once(library, name, names):
    accepted = ", ".join(dict.fromkeys(["all", "head", *names]))
    with pytest.raises(UsageError, match=f"finetune=9 is not accepted: 9 is no block; it takes {accepted}, joined"):
        network(name, library, 64, "9")
    made = network(name, library, 64, chosen := names[-3])
    assert [n for n, b in blocks.blocks(made.net, made.bodies).items() if b not in made.frozen] == [chosen, names[-1]]
    parts, images = cut.cut(made.net), torch.rand(2, 3, 64, 64)
    made.net.eval()
    assert torch.equal(parts.suffix(parts.prefix(images)), made.net(images))
    assert parts.prefix(images).ndim > 2, "the cut is at the block, not behind all of them"


def test_a_body_may_be_named_as_a_whole():
    net = network("vit_b_16", finetune="encoder").net
    frozen = [n for n, p in net.named_parameters() if not p.requires_grad]
    assert frozen == ["class_token", "conv_proj.weight", "conv_proj.bias"]


REFUSED = [
    ("torchvision", {"name": "vit_b_16", "size": 30}, "data.image_size=30 .* Input shape indivisible by patch size!"),
    ("torchvision", {"name": "alexnet", "size": 32}, r"data.image_size=32 .*model.name=alexnet .*Output size is too small"),
    (TIMM, {"name": "vit_tinny"}, "model.name=vit_tinny is not accepted: it takes a network of timm, such as .*vit_tiny"),
    (TIMM, {"name": "test_vit.nothing"}, "model.name=test_vit.nothing is not accepted: .*test_vit"),
    (TIMM, {"name": "deit_tiny_distilled_patch16_224"}, "model.name=deit_tiny.* a network with a linear classifier"),
    (TIMM, {"name": "vit_base_patch16_clip_224"}, r"data.normalize=auto .*imagenet, half, none.* made for mean \(0.48"),
    (TIMM, {"name": "simple_cnn"}, "model.library=timm is not accepted: it takes torchvision with model.name=simple_cnn"),
]


@pytest.mark.parametrize(
    ("library", "options", "sentence"),
    [pytest.param(getattr(lib, "values", [lib])[0], *rest, marks=getattr(lib, "marks", ())) for lib, *rest in REFUSED],
)
def test_what_is_not_accepted_is_said_before_anything_is_trained(library, options, sentence):
    with pytest.raises(UsageError, match=f"^{sentence}"):
        check(config(library=library, **options))


def test_a_network_that_reads_tensors_while_it_is_built_is_checked_too():
    state = torch.get_rng_state()
    check(config("regnet_y_400mf"))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("library", [TIMM])
def test_weights_for_images_of_another_size_are_refused_with_the_reason(library, tmp_path):
    torch.save(network("test_vit", library, 64).net.state_dict(), tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"do not fit VisionTransformer: size mismatch.*pos_embed.*; embeddings .*image_size"):
        check(config("test_vit", library, 32), tmp_path / "w.pth")
    check(config("test_vit", library, 64), tmp_path / "w.pth")


def test_timm_is_asked_for_in_one_sentence_where_it_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    model = Model("test_vit", library="timm", weights="imagenet")
    for ask in (lambda: check(config("test_vit", "timm")), lambda: weights.locate(model)):
        with pytest.raises(UsageError, match=r"^model=timm needs the package timm, .*: pip install -e '\.\[timm\]'\.$"):
            ask()


@pytest.mark.parametrize("library", [TIMM])
def test_normalisation_is_what_the_network_was_made_for_and_grey_images_are_taken(library):
    assert network("test_vit", library).normalize == "half"
    assert network("resnet18", library).normalize == "imagenet"
    keys = {
        chain(config("resnet18", kind, normalize=normalize), "images", "32-true")[0].key
        for kind in ("torchvision", library)
        for normalize in ("auto", "imagenet")
    }
    assert len(keys) == 3, "what auto stands for is known of torchvision's alone"
    assert network("test_vit", library, channels=1).net.patch_embed.proj.in_channels == 1


@pytest.mark.parametrize("library", [TIMM])
def test_weights_of_timm_are_a_file_or_those_of_the_hub(library, monkeypatch, tmp_path):
    made = network("test_vit", library).net
    torch.save(made.state_dict(), tmp_path / "w.pth")
    torch.manual_seed(1)
    assert not differing(build(config("test_vit", library), 6, tmp_path / "w.pth").net.state_dict(), made.state_dict())

    asked = []

    def download(repository, file, local_files_only):
        asked.append((repository, file, local_files_only))
        if local_files_only:
            raise FileNotFoundError
        return str(tmp_path / "w.pth")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    monkeypatch.setattr(weights, "reachable", lambda host: host == "huggingface.co" and bool(asked))
    model = Model("test_vit", library=library, weights="imagenet")
    with pytest.raises(DataError, match=r"of test_vit could not be downloaded from huggingface\.co; name a file"):
        weights.locate(model)
    assert weights.locate(model) == tmp_path / "w.pth"
    assert asked == [("timm/test_vit.r160_in1k", "model.safetensors", offline) for offline in (True, False)]


@pytest.mark.parametrize("library", [TIMM])
@pytest.mark.parametrize("finetune", ["all", "blocks.5"])
def test_a_search_on_a_network_of_timm(library, finetune, make_config, tmp_path):
    asked = make_config(model="test_vit", rounds=2, epochs=1, image_size=32, finetune=finetune)
    asked.model.library = library
    dense, _, ticket = run(asked)
    assert (ticket.model, dense.effective_density) == ("timm/test_vit", 1)
    assert ("blocks.0.attn.qkv.weight" in ticket.layers) == (finetune == "all")
    assert "blocks.5.attn.qkv.weight" in ticket.layers
    assert ticket.density == pytest.approx(0.64, abs=1e-4)
    assert verify(tmp_path / "outputs", say=lambda line: None) == 0
