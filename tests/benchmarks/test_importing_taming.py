"""A released checkpoint of Taming Transformers becomes a run with the same networks."""

import json
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import importing, importing_taming, recipes, runs
from manifests.errors import InputError, MisuseError
from models import published_taming

GOLDEN = Path(__file__).parents[1] / "models" / "golden" / "taming.safetensors"
SIZES = {"resolution": 16, "heads": 4}  # small enough for the transformer's 40 places
CPU = torch.device("cpu")


def their_callback() -> type:
    """A class by the name by which the released checkpoints keep what their trainer remembered."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    made = type("ModelCheckpoint", (), {"__module__": name})
    parts = name.split(".")
    for at in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:at]), types.ModuleType(".".join(parts[:at])))
    sys.modules[name].ModelCheckpoint = made
    return made


def released(path: Path, *, transformer: bool = True) -> dict[str, torch.Tensor]:
    """The golden weights as released: a Lightning checkpoint."""
    tensors = load_file(GOLDEN)
    state = {
        f"first_stage_model.{name}": one for name, one in tensors.items() if name.startswith(published_taming._VQGAN)
    }
    if transformer:
        state |= {name: one for name, one in tensors.items() if name.startswith("transformer.")}
    torch.save({"epoch": 3, "state_dict": state, "callbacks": {their_callback(): {"monitor": "val/loss"}}}, path)
    return tensors


def test_the_run_reconstructs_and_predicts_as_published(tmp_path):
    tensors = released(tmp_path / "net.ckpt")
    recipe = importing_taming.bring(tmp_path / "net.ckpt", SIZES, tmp_path / "run")
    assert recipes.load(tmp_path / "run") == recipe
    assert "batch" not in json.loads((tmp_path / "run" / "recipe.json").read_bytes())
    generator = runs.open_checkpoint(tmp_path / "run", CPU, "last").generator
    published = published_taming.from_checkpoint(tensors, **SIZES)
    with torch.no_grad():
        assert torch.allclose(generator.gpt(tensors["tokens"]), tensors["logits"], atol=1e-5)
        images = tensors["images"][..., :16, :16]
        assert torch.equal(generator.vqgan.reconstruct(images)[0], published.vqgan.reconstruct(images)[0])
    assert generator.samples(1, 0, 1).shape == (1, 3, 16, 16)


def test_what_is_no_whole_checkpoint_or_does_not_fit_is_refused_and_leaves_nothing(tmp_path):
    released(tmp_path / "net.ckpt")
    released(tmp_path / "vqgan.ckpt", transformer=False)
    (tmp_path / "text.ckpt").write_text("nothing")
    for name, sizes, error, says in (
        ("vqgan.ckpt", SIZES, MisuseError, "no transformer"),
        ("text.ckpt", SIZES, InputError, "weights_only"),
        ("absent.ckpt", SIZES, MisuseError, "not there"),
        ("net.ckpt", {"resolution": 64, "heads": 4}, MisuseError, "--sizes"),
        ("net.ckpt", {"resolution": 16, "heads": 3}, MisuseError, "--sizes"),
        ("net.ckpt", {"resolution": "x"}, MisuseError, "whole number"),
    ):
        with pytest.raises(error, match=says):
            importing_taming.bring(tmp_path / name, sizes, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_name_that_claims_many_layers_takes_no_memory():
    tensors = load_file(GOLDEN)
    claims = {"transformer.blocks.99999999.mlp.0.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match="more layers than it has tensors"):
        published_taming.from_checkpoint(tensors | claims, **SIZES)


@pytest.mark.parametrize(("model", "sizes"), [("taming", {"heads": 8}), ("alis", {"grid_size": 16, "w_coord_dist": 4})])
def test_only_what_a_file_does_not_tell_need_be_said(model, sizes):
    assert importing.sizes_of(json.dumps(sizes).encode(), model) == sizes
