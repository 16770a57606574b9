"""The other side of what Windtunnel exchanges with Hugging Face transformers.

    python logits.py load DIR TOKENS OUT
    python logits.py make granite|llama DIR

`load` reads the model in DIR, computes its logits for the tokens in TOKENS (integers, [batch, context]) in 32 bits on the
CPU, and writes them to OUT (floats, [batch, context, vocabulary]); both are arrays of numpy. Granite and Llama are those of
transformers. The code of MiniCPM is published with its models and not with transformers; it is written out here, from the
formulas of the paper (arXiv 2404.06395) and the meaning of the keys of its `config.json`.

`make` writes a small random model to DIR, the way transformers does: a Granite with multipliers of its own, a tied head
and numbers of 16 bits, or a Llama with a head of its own and in several files.
"""

import json
import math
import sys
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GraniteConfig, LlamaConfig


def main() -> None:
    """Does what the arguments say."""
    # The models are too small to gain from more.
    torch.set_num_threads(1)
    # transformers asks this even on the CPU, and a torch whose CUDA libraries were left out crashes when it is asked.
    torch.cuda.is_current_stream_capturing = lambda: False
    match sys.argv[1:]:
        case ["load", folder, tokens, out]:
            load(Path(folder), Path(tokens), Path(out))
        case ["make", "granite" | "llama" as kind, folder]:
            make(kind, Path(folder))
        case _:
            sys.exit(__doc__)


@torch.no_grad()
def load(folder: Path, tokens: Path, out: Path) -> None:
    """Computes with a model, and writes what came out."""
    config = json.loads((folder / "config.json").read_text())
    inputs = torch.from_numpy(numpy.load(tokens).astype(numpy.int64))
    if config["model_type"] == "minicpm":
        logits = minicpm(config, load_file(folder / "model.safetensors"), inputs)
    else:
        model, about = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        assert type(model).__name__ in config["architectures"], type(model)
        # What is missing would have random values.
        assert not any(about.values()), about
        logits = model.eval()(inputs, use_cache=False).logits
    numpy.save(out, logits.numpy().astype("<f4"))


def minicpm(config: dict, weights: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """Logits of a MiniCPM, [batch, context, vocabulary]. Matrices are [out, in], as those of `torch.nn.Linear`."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean_square = x.pow(2).mean(dim=-1, keepdim=True)
        return x * torch.rsqrt(mean_square + config["rms_norm_eps"]) * weights[f"{name}.weight"]

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ weights[f"{name}.weight"].T

    batch, context = inputs.shape
    n_heads, n_kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config["hidden_size"] // n_heads
    residual_scale = config["scale_depth"] / math.sqrt(config["num_hidden_layers"])
    later = torch.ones(context, context, dtype=torch.bool).triu(diagonal=1)

    x = weights["model.embed_tokens.weight"][inputs] * config["scale_emb"]
    for index in range(config["num_hidden_layers"]):
        block = f"model.layers.{index}"
        normed = norm(x, f"{block}.input_layernorm")
        queries, keys, values = (
            linear(normed, f"{block}.self_attn.{part}_proj").view(batch, context, heads, head_dim).transpose(1, 2)
            for part, heads in (("q", n_heads), ("k", n_kv_heads), ("v", n_kv_heads))
        )
        queries, keys = rotated(queries, config["rope_theta"]), rotated(keys, config["rope_theta"])
        keys, values = (heads.repeat_interleave(n_heads // n_kv_heads, dim=1) for heads in (keys, values))
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(head_dim)
        mixed = scores.masked_fill(later, -math.inf).softmax(dim=-1) @ values
        mixed = mixed.transpose(1, 2).reshape(batch, context, n_heads * head_dim)
        x = x + residual_scale * linear(mixed, f"{block}.self_attn.o_proj")
        normed = norm(x, f"{block}.post_attention_layernorm")
        gated = F.silu(linear(normed, f"{block}.mlp.gate_proj")) * linear(normed, f"{block}.mlp.up_proj")
        x = x + residual_scale * linear(gated, f"{block}.mlp.down_proj")
    hidden = norm(x, "model.norm") / (config["hidden_size"] / config["dim_model_base"])
    return linear(hidden, "model.embed_tokens" if config["tie_word_embeddings"] else "lm_head")


def rotated(x: torch.Tensor, theta: float) -> torch.Tensor:
    """Rotary position embedding: channel i turns with channel i + head_dim / 2, by position / theta^(2 i / head_dim)."""
    *_, context, head_dim = x.shape
    half = head_dim // 2
    frequencies = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)
    cos, sin = angles.cos().float(), angles.sin().float()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


@torch.no_grad()
def make(kind: str, folder: Path) -> None:
    """Writes a random model. Its weights are large enough, and its gains uneven enough, that each of them matters."""
    torch.manual_seed(1)
    common = {
        "vocab_size": 300,
        "hidden_size": 64,
        "intermediate_size": 144,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.15,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5_000.0},
    }
    if kind == "granite":
        low, high = torch.tensor([[2.0, 8.0], [0.2, 0.8], [0.1, 0.5], [1.5, 6.0]]).T
        embedding, residual, attention, logits = (low + (high - low) * torch.rand(4)).tolist()
        config = GraniteConfig(
            **common,
            tie_word_embeddings=True,
            embedding_multiplier=embedding,
            residual_multiplier=residual,
            attention_multiplier=attention,
            logits_scaling=logits,
        )
    else:
        config = LlamaConfig(**common, tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
    if kind == "granite":
        model.to(torch.bfloat16).save_pretrained(folder)
    else:
        model.save_pretrained(folder, max_shard_size="200KB")
        assert (folder / "model.safetensors.index.json").is_file(), "it is in several files"


if __name__ == "__main__":
    main()
