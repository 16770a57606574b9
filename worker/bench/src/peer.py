"""The peer: the training step that Windtunnel is measured on, in PyTorch.

The first line of the standard input says what to measure, as JSON; a line goes out when it is warm. Then each line in
asks for a sample, and a line out has it: the seconds of each unit of work, one after the other. Ends with its input.
"""

import json
import math
import os
import sys
import time

# Libraries may print to standard output, so answers get a channel of their own.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(value):
    ANSWERS.write(json.dumps(value) + "\n")
    ANSWERS.flush()


def peak_bytes():
    """Peak resident memory of this process, or None if the system does not report it."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    # Kilobytes, but bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def serve(unit, warm):
    """Warms up, then samples a function until the requests end."""
    for _ in range(warm):
        unit()
    answer({"ready": True, "peak_bytes": peak_bytes()})
    for line in sys.stdin:
        request = json.loads(line)
        # The caches belong to the process that ran last.
        value = unit()
        seconds = []
        start = time.perf_counter()
        while len(seconds) < request["at_least"] or time.perf_counter() - start < request["seconds"]:
            before = time.perf_counter()
            value = unit()
            seconds.append(time.perf_counter() - before)
        answer({"seconds": seconds, "peak_bytes": peak_bytes(), "loss": value})


def versions():
    """Versions of what is installed; None for a missing package."""
    found = {"python": sys.version.split()[0], "torch": None, "numpy": None}
    for name in ("torch", "numpy"):
        try:
            found[name] = __import__(name).__version__
        except Exception as error:  # whatever a broken installation raises
            found[name + "_error"] = " ".join(str(error).split()) or type(error).__name__
    answer(found)


def gemm(task):
    """A product of two square matrices of 32-bit floats."""
    size = task["size"]
    if task["library"] == "numpy":
        import numpy

        random = numpy.random.default_rng(0)
        left, right = (random.random((size, size), dtype=numpy.float32) for _ in range(2))
        into = numpy.empty((size, size), dtype=numpy.float32)

        def unit():
            numpy.matmul(left, right, out=into)

    else:
        import torch

        torch.set_num_threads(task["threads"])
        left, right = torch.rand(size, size), torch.rand(size, size)
        into = torch.empty(size, size)

        def unit():
            torch.mm(left, right, out=into)

    serve(unit, 3)


def steps(task):
    """Training steps of the model of the task."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.set_num_threads(task["threads"])
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model, batch, optimizer = task["spec"]["model"], task["spec"]["batch"], task["spec"]["optimizer"]
    shape, scalings = model["shape"], model["tensor_program"]
    d_model, d_ff, heads = shape["d_model"], shape["d_ff"], shape["n_heads"]
    head_dim, layers, vocab = shape["head_dim"], shape["n_layers"], model["vocab"]
    rows, context = batch["sequences"], batch["context"]
    width_ratio = d_model / scalings["d_base"]
    residual = scalings["scale_depth"] / math.sqrt(layers)
    if shape["n_kv_heads"] != heads:
        raise SystemExit("the peer has no grouped queries")

    def matrix(to, width):
        return nn.Parameter(torch.randn(to, width) * scalings["init_std"] / math.sqrt(width_ratio))

    class Block(nn.Module):
        """Queries, keys and values in one matrix, gate and up in another: fewer, larger products."""

        def __init__(self):
            super().__init__()
            self.attention_gain = nn.Parameter(torch.ones(d_model))
            self.qkv = matrix(3 * heads * head_dim, d_model)
            self.out = matrix(d_model, heads * head_dim)
            self.mlp_gain = nn.Parameter(torch.ones(d_model))
            self.gate_up = matrix(2 * d_ff, d_model)
            self.down = matrix(d_model, d_ff)

        def forward(self, stream, cos, sin):
            normed = F.rms_norm(stream, (d_model,), self.attention_gain, model["norm_eps"])
            qkv = F.linear(normed, self.qkv).view(rows, context, 3, heads, head_dim)
            # Queries and keys are rotated together.
            first, second = qkv[:, :, :2].chunk(2, -1)
            rotated = torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
            query, key = rotated.transpose(1, 3).unbind(2)  # [rows, heads, context, head_dim]
            value = qkv[:, :, 2].transpose(1, 2)
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            mixed = mixed.transpose(1, 2).reshape(rows, context, heads * head_dim)
            stream = torch.add(stream, F.linear(mixed, self.out), alpha=residual)
            normed = F.rms_norm(stream, (d_model,), self.mlp_gain, model["norm_eps"])
            gate, up = F.linear(normed, self.gate_up).chunk(2, -1)
            return torch.add(stream, F.linear(F.silu(gate) * up, self.down), alpha=residual)

    class MiniCpm(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Parameter(torch.randn(vocab, d_model) * scalings["init_std"])
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.gain = nn.Parameter(torch.ones(d_model))
            channel = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
            angle = torch.outer(torch.arange(context, dtype=torch.float64), model["rope_theta"] ** -channel)
            angle = angle[None, :, None, None, :]  # over rows, context, queries and keys, heads, half a head's channels
            self.register_buffer("cos", angle.cos().float())
            self.register_buffer("sin", angle.sin().float())

        def forward(self, tokens, targets):
            stream = F.embedding(tokens, self.embedding) * scalings["scale_emb"]
            for block in self.blocks:
                stream = block(stream, self.cos, self.sin)
            hidden = F.rms_norm(stream, (d_model,), self.gain, model["norm_eps"]) / width_ratio
            logits = F.linear(hidden, self.embedding)
            return F.cross_entropy(logits.view(-1, vocab), targets.view(-1))

    network = MiniCpm()
    parameters = list(network.parameters())
    gains = [parameter for parameter in parameters if parameter.dim() == 1]
    matrices = [parameter for name, parameter in network.named_parameters() if parameter.dim() == 2 and "." in name]
    rate, decay = task["spec"]["peak_lr"], optimizer["weight_decay"]
    update = torch.optim.AdamW(
        [
            {"params": [network.embedding], "lr": rate, "weight_decay": decay},
            {"params": matrices, "lr": rate / width_ratio, "weight_decay": decay},
            {"params": gains, "lr": rate, "weight_decay": 0.0},
        ],
        betas=(optimizer["beta1"], optimizer["beta2"]),
        eps=optimizer["eps"],
        fused=True,
    )
    half, compiled = task["mode"].startswith("bf16"), task["mode"].endswith("compile")
    forward = torch.compile(network) if compiled else network
    tokens, targets = (torch.randint(0, vocab, (rows, context)) for _ in range(2))

    def unit():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = forward(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, optimizer["clip_norm"], foreach=True)
        update.step()
        update.zero_grad(set_to_none=True)
        return loss.item()

    serve(unit, 4)


TASK = json.loads(sys.stdin.readline())
{"versions": lambda _: versions(), "gemm": gemm, "steps": steps}[TASK["kind"]](TASK)
