"""Trains a stage a second time, in PyTorch, so that Windtunnel's training can be held against it.

    python training.py FOLDER

It is written from the formulas of the MiniCPM paper (arXiv 2404.06395) and shares no code with Windtunnel: the gradients
are PyTorch's, and so are AdamW, the clipping and the cross-entropy. All is computed in 32 bits on the CPU, a whole batch
at a time.

FOLDER holds what both train on:

    spec.json              the stage: model, schedule, optimiser, batch
    weights.safetensors    the initial weights; matrices are [in, out]
    inputs.i32             tokens, [steps, sequences, context], little-endian
    targets.i32            the token after each, in the same shape

and gets what came out:

    result.json            of each step: loss before the update, gradient norm before clipping, learning rate
    gradients/NAME.f32     gradients of the first step before clipping, in row-major order, little-endian
"""

import json
import math
import sys
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import load_file


def main() -> None:
    """Trains, and writes what came out."""
    folder = Path(sys.argv[1])
    spec = json.loads((folder / "spec.json").read_text())
    # The model is too small to gain from more.
    torch.set_num_threads(1)
    weights = load_file(folder / "weights.safetensors")
    for weight in weights.values():
        assert weight.dtype == torch.float32, weight.dtype
        weight.requires_grad_()
    optimizer = make_optimizer(spec, weights)
    inputs, targets = (read_tokens(folder / f"{name}.i32", spec["batch"]) for name in ("inputs", "targets"))

    result = {"losses": [], "grad_norms": [], "learning_rates": []}
    for step in range(spec["start_step"], spec["end_step"]):
        learning_rate = spec["peak_lr"] * schedule_factor(spec["schedule"], step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * group["multiplier"]
        optimizer.zero_grad()
        logits = forward(spec["model"], weights, inputs[step])
        loss = F.cross_entropy(logits.flatten(0, 1), targets[step].flatten())
        loss.backward()
        if step == spec["start_step"]:
            write_gradients(folder / "gradients", weights)
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), spec["optimizer"]["clip_norm"])
        optimizer.step()
        result["losses"].append(loss.item())
        result["grad_norms"].append(norm.item())
        result["learning_rates"].append(learning_rate)
    (folder / "result.json").write_text(json.dumps(result))


def forward(model: dict, weights: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    """Logits, [sequences, context, vocab], of tokens, [sequences, context]: section 5.1 and Table 7 of the paper."""
    shape, scalings = model["shape"], model["tensor_program"]
    residual_scale = scalings["scale_depth"] / math.sqrt(shape["n_layers"])
    width_ratio = shape["d_model"] / scalings["d_base"]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean_square = x.square().mean(dim=-1, keepdim=True)
        return x / torch.sqrt(mean_square + model["norm_eps"]) * weights[f"{name}.gain"]

    x = weights["embedding"][tokens] * scalings["scale_emb"]
    for layer in range(shape["n_layers"]):
        block = f"blocks.{layer}"
        qkv = norm(x, f"{block}.attention_norm") @ weights[f"{block}.attention.qkv"]
        mixed = attention(qkv, shape, model["rope_theta"])
        x = x + residual_scale * (mixed @ weights[f"{block}.attention.out"])
        gate, up = (norm(x, f"{block}.mlp_norm") @ weights[f"{block}.mlp.gate_up"]).chunk(2, dim=-1)
        x = x + residual_scale * ((F.silu(gate) * up) @ weights[f"{block}.mlp.down"])
    head = weights["embedding"] if model["tied"] else weights["head"]
    return norm(x, "norm") @ head.T / width_ratio


def attention(qkv: torch.Tensor, shape: dict, theta: float) -> torch.Tensor:
    """Causal softmax attention; neighbouring heads of queries share a head of keys and values."""
    sequences, context, _ = qkv.shape
    n_heads, n_kv_heads, head_dim = shape["n_heads"], shape["n_kv_heads"], shape["head_dim"]
    heads = qkv.view(sequences, context, n_heads + 2 * n_kv_heads, head_dim).transpose(1, 2)
    queries, keys, values = heads.split([n_heads, n_kv_heads, n_kv_heads], dim=1)
    queries, keys = rotated(queries, theta), rotated(keys, theta)
    keys, values = (x.repeat_interleave(n_heads // n_kv_heads, dim=1) for x in (keys, values))
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(head_dim)
    later = torch.ones(context, context, dtype=torch.bool).triu(diagonal=1)
    mixed = scores.masked_fill(later, -math.inf).softmax(dim=-1) @ values
    return mixed.transpose(1, 2).reshape(sequences, context, n_heads * head_dim)


def rotated(x: torch.Tensor, theta: float) -> torch.Tensor:
    """Rotary position embedding: channel i turns with channel i + head_dim / 2, by position / theta^(2 i / head_dim)."""
    *_, context, head_dim = x.shape
    half = head_dim // 2
    frequencies = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)
    cos, sin = angles.cos().float(), angles.sin().float()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def make_optimizer(spec: dict, weights: dict[str, torch.Tensor]) -> torch.optim.Optimizer:
    """AdamW, in three groups: Table 7 of the paper. Gains are not decayed; matrices train at lr / (d_model / d_base)."""
    settings, model = spec["optimizer"], spec["model"]
    width_ratio = model["shape"]["d_model"] / model["tensor_program"]["d_base"]
    gains = [name for name in weights if name.endswith(".gain")]
    tables = [name for name in weights if name in ("embedding", "head")]
    matrices = [name for name in weights if name not in gains and name not in tables]

    def group(names: list[str], multiplier: float, weight_decay: float) -> dict:
        return {"params": [weights[name] for name in names], "multiplier": multiplier, "weight_decay": weight_decay}

    groups = [
        group(tables, 1.0, settings["weight_decay"]),
        group(matrices, 1.0 / width_ratio, settings["weight_decay"]),
        group(gains, 1.0, 0.0),
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(settings["beta1"], settings["beta2"]), eps=settings["eps"])


def schedule_factor(schedule: dict, step: int) -> float:
    """WSD, section 4.2 of the paper, as a fraction of the peak. The last step of each part ends it."""
    assert schedule["kind"] == "wsd", schedule
    if step < schedule["warmup_steps"]:
        return (step + 1) / schedule["warmup_steps"]
    if step < schedule["decay_start"]:
        return 1.0
    progress = min((step + 1 - schedule["decay_start"]) / schedule["decay_steps"], 1.0)
    floor = schedule["floor"]
    shapes = {"linear": 1.0 - (1.0 - floor) * progress, "exponential": floor**progress}
    return shapes[schedule["decay"]["shape"]]


def read_tokens(file: Path, batch: dict) -> torch.Tensor:
    """Tokens of all steps, [steps, sequences, context]."""
    tokens = numpy.fromfile(file, dtype="<i4").reshape(-1, batch["sequences"], batch["context"])
    return torch.from_numpy(tokens.astype(numpy.int64))


def write_gradients(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """A file for each parameter."""
    folder.mkdir()
    for name, weight in weights.items():
        weight.grad.numpy().astype("<f4").tofile(folder / f"{name}.f32")


if __name__ == "__main__":
    main()
