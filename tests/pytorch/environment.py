"""Makes the Python environment of the tests that hold Windtunnel against PyTorch.

    python3 tests/pytorch/environment.py FOLDER [--renew]

FOLDER becomes a virtual environment with the newest torch, transformers, safetensors and numpy. The last line on the
standard output is the path of its interpreter; all else goes to the standard error. Where FOLDER is complete already,
the script says so at once and touches nothing; `--renew` makes it anew, with what is newest then.

What is special about it
------------------------
The torch of the package index for Linux is built for CUDA, and asks for several gigabytes of CUDA libraries that
arithmetic on the CPU never calls. They are left out:

1. torch is installed without its dependencies, and then those of its dependencies that are not CUDA's, as its own
   metadata lists them.
2. Its shared libraries still name the CUDA libraries, so that the dynamic loader refuses to load them. For each that is
   missing, a stand-in is compiled: a library of the same name with the same symbols (under the same symbol versions),
   each a function that returns 100. That is the error "no CUDA device" of the CUDA runtime, so `torch.cuda` finds no
   device, and nothing calls the others.

Which libraries and symbols are missing is read from torch's own files with `readelf` and `nm`, so no list of CUDA's
names is kept here. Where torch was built without CUDA (other platforms), nothing is missing and nothing is compiled.

It needs Python 3.10 or newer with `venv`, a C compiler that answers to `cc`, and `readelf` and `nm` of binutils; and
`g++` where `torch.compile` is to work. Nothing outside FOLDER, and FOLDER.lock beside it, is written.
"""

import argparse
import ctypes
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

# What is installed beside torch.
PACKAGES = ["transformers", "safetensors", "numpy"]

# Dependencies of torch that serve GPUs alone.
FOR_GPUS = re.compile(r"^(cuda|nvidia|triton|pytorch-triton)([-_.].*)?$", re.IGNORECASE)

# Libraries that the packages above bring along, which are the only ones to stand in for.
OF_CUDA = re.compile(r"^lib(cu|nv|nccl)")

# Written when all is done: who made the environment, and what is in it.
MARKER = "windtunnel-environment.json"


class Trouble(Exception):
    """Why there is no environment, in a sentence for whoever called."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the environment is, or is to be")
    parser.add_argument("--renew", action="store_true", help="make it anew though it is complete")
    options = parser.parse_args()
    folder = options.folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Two that start at once would build into each other.
        with open(folder.with_name(folder.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if options.renew or not is_complete(folder):
                make(folder)
    except Trouble as trouble:
        sys.exit(f"environment.py: {trouble}")
    print(interpreter(folder))


def interpreter(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"


def maker() -> str:
    """Changes with this script and with the Python that runs it: an environment of another maker is made anew."""
    return hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()


def is_complete(folder: Path) -> bool:
    """Whether the environment was made to the end, by this script."""
    try:
        marker = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return False
    if marker.get("maker") != maker() or not interpreter(folder).exists():
        return False
    say(f"{folder} is complete: {marker['versions']}")
    return True


def make(folder: Path) -> None:
    """Makes the environment. The marker is written last, so what was interrupted is begun again."""
    if sys.version_info < (3, 10):
        raise Trouble(f"Python 3.10 or newer is needed, and this is {sys.version.split()[0]}")
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
            raise Trouble(f"{folder} exists and is not a virtual environment: name another folder, or remove it")
        shutil.rmtree(folder)
    say(f"making {folder}")
    python = interpreter(folder)
    try:
        run([sys.executable, "-m", "venv", str(folder)])
    except Trouble as trouble:
        raise Trouble(f"{trouble} (some systems have `venv` in a package of its own, such as python3-venv)") from None
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, "--no-deps", "torch"])
    run([*pip, *plain_dependencies(python), *PACKAGES])
    stand_in(python)
    versions = try_out(python)
    content = json.dumps({"maker": maker(), "versions": versions}, indent=2) + "\n"
    partial = folder / (MARKER + ".partial")
    partial.write_text(content)
    os.replace(partial, folder / MARKER)
    say(f"{folder} is complete: {versions}")


def plain_dependencies(python: Path) -> list[str]:
    """What the installed torch asks for on this platform, without what serves GPUs alone."""
    # pip brings the library that understands these lines.
    program = """
import importlib.metadata
from pip._vendor.packaging.requirements import Requirement
for line in importlib.metadata.requires("torch") or []:
    requirement = Requirement(line)
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        extras = "[" + ",".join(sorted(requirement.extras)) + "]" if requirement.extras else ""
        print(requirement.name, requirement.name + extras + str(requirement.specifier), sep="\\t")
"""
    asked = [line.split("\t") for line in run([str(python), "-c", program]).splitlines()]
    left_out = [name for name, _ in asked if FOR_GPUS.match(name)]
    if left_out:
        say(f"left out, because it serves GPUs alone: {', '.join(left_out)}")
    return [requirement for name, requirement in asked if not FOR_GPUS.match(name)]


def stand_in(python: Path) -> None:
    """Compiles stand-ins for the CUDA libraries that torch's own libraries name and that are not there."""
    program = "import importlib.util; print(importlib.util.find_spec('torch').submodule_search_locations[0])"
    package = Path(run([str(python), "-c", program]).strip())
    folder = package / "lib"
    files = sorted(set(package.rglob("*.so")) | set(folder.glob("*.so.*")))
    if not any(is_elf(file) for file in files):
        say("nothing to stand in for: torch's libraries are of another kind here")
        return
    for tool in ("readelf", "nm"):
        if shutil.which(tool) is None:
            raise Trouble(f"`{tool}` is not installed: it is part of binutils, and tells what torch's libraries need")
    own = {file.name for file in files}
    needed = {file: needed_by(file) for file in files if is_elf(file)}
    missing = {name for names in needed.values() for name in names if name not in own and not is_loadable(name)}
    foreign = sorted(name for name in missing if not OF_CUDA.match(name))
    if foreign:
        raise Trouble(f"torch needs {', '.join(foreign)}, which this system does not have: install it")
    if not missing:
        say("nothing to stand in for: torch needs no library that is not there")
        return
    if shutil.which("cc") is None:
        raise Trouble("a C compiler is needed, one that answers to `cc`")
    wanted = wanted_symbols(needed, missing)
    with tempfile.TemporaryDirectory() as scratch:
        for name in sorted(missing):
            compile_stand_in(folder / name, wanted[name], Path(scratch))
    counts = ", ".join(f"{name} ({sum(map(len, wanted[name].values()))})" for name in sorted(missing))
    say(f"stand-ins, with their numbers of symbols: {counts}")


def is_elf(file: Path) -> bool:
    """Whether a file is a shared library of the kind that `readelf` reads."""
    with open(file, "rb") as content:
        return content.read(4) == b"\x7fELF"


def is_loadable(name: str) -> bool:
    """Whether the dynamic loader finds a library by its name."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def needed_by(file: Path) -> set[str]:
    """The libraries that a library names."""
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", run(["readelf", "--dynamic", "--wide", str(file)])))


def wanted_symbols(needed: dict[Path, set[str]], missing: set[str]) -> dict[str, dict[str, set[str]]]:
    """For each missing library, the symbols it has to have, by their version; the version is empty where there is none.

    A symbol with a version says which library it comes from. One without may come from any, so it goes to those of the
    missing libraries that the asking library names and that have no versions; or to all it names if they all have.
    """
    wanted: dict[str, dict[str, set[str]]] = {name: defaultdict(set) for name in missing}
    plain: dict[Path, set[str]] = {}
    for file, names in needed.items():
        if not names & missing:
            continue
        origins = origins_of_versions(file)
        plain[file] = set()
        for symbol, version in undefined(file):
            origin = origins.get(version)
            if origin in missing:
                wanted[origin][version].add(symbol)
            elif version == "":
                plain[file].add(symbol)
    without_versions = {name for name in missing if not wanted[name]}
    present = defined_elsewhere(needed, missing)
    for file, symbols in plain.items():
        candidates = needed[file] & missing
        for name in candidates & without_versions or candidates:
            wanted[name][""] |= symbols - present
    return wanted


def origins_of_versions(file: Path) -> dict[str, str]:
    """For each symbol version that a library asks for, the library it expects it of."""
    origins, library = {}, ""
    for line in run(["readelf", "--version-info", "--wide", str(file)]).splitlines():
        if found := re.search(r"\bFile: (\S+)", line):
            library = found[1]
        elif (found := re.search(r"\bName: (\S+)\s+Flags:", line)) and library:
            origins[found[1]] = library
    return origins


def undefined(file: Path) -> list[tuple[str, str]]:
    """The symbols that a library takes from others and cannot do without, with their versions."""
    symbols = []
    for line in run(["nm", "--dynamic", "--undefined-only", str(file)]).splitlines():
        *_, kind, symbol = line.split()
        if kind == "U":
            name, _, version = symbol.partition("@")
            symbols.append((name, version.lstrip("@")))
    return symbols


def defined_elsewhere(needed: dict[Path, set[str]], missing: set[str]) -> set[str]:
    """The symbols that torch's libraries, the system's libraries they name, and Python itself define."""
    files = {str(file) for file in needed}
    for name in {name for names in needed.values() for name in names} - missing:
        # The compiler knows where the system's libraries are; for others it gives the name back.
        path = run(["cc", f"-print-file-name={name}"]).strip()
        if os.path.isabs(path):
            files.add(path)
    files.add(os.path.realpath(sys.executable))
    defined = set()
    for file in files:
        for line in run(["nm", "--dynamic", "--defined-only", file]).splitlines():
            if line.split():
                defined.add(line.split()[-1].partition("@")[0])
    # Where Python is a shared library, its executable defines nothing.
    for name in python_libraries():
        for line in run(["nm", "--dynamic", "--defined-only", name]).splitlines():
            defined.add(line.split()[-1].partition("@")[0])
    return defined


def python_libraries() -> list[str]:
    """Files of Python's own shared library that this process has loaded."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return []
    return sorted(set(re.findall(r"(/\S*libpython\S*)", maps)))


def compile_stand_in(library: Path, symbols: dict[str, set[str]], scratch: Path) -> None:
    """Compiles a library whose symbols are functions that say there is no CUDA device."""
    source, versions = scratch / "stand_in.c", scratch / "stand_in.map"
    names = sorted(set().union(*symbols.values()))
    source.write_text("".join(f"int {name}(void) {{ return 100; }}\n" for name in names))
    command = ["cc", "-shared", "-fPIC", "-fno-builtin", "-w", str(source), "-o", str(library)]
    command.append(f"-Wl,-soname,{library.name}")
    nodes = {version: names for version, names in symbols.items() if version}
    if nodes:
        line = "{version} {{ global: {names}; }};\n".format
        versions.write_text("".join(line(version=v, names="; ".join(sorted(nodes[v]))) for v in sorted(nodes)))
        command.append(f"-Wl,--version-script={versions}")
    run(command)


def try_out(python: Path) -> str:
    """Uses what was installed, and returns its versions in words."""
    program = """
import numpy, safetensors, torch, transformers
assert not torch.cuda.is_available(), "a CUDA device came out of nowhere"
a = torch.arange(6.0).reshape(2, 3).requires_grad_()
product = a @ a.T
assert product.tolist() == [[5.0, 14.0], [14.0, 50.0]], product
product.sum().backward()
assert a.grad.tolist() == [[6.0, 10.0, 14.0]] * 2, a.grad
packages = [("torch", torch), ("transformers", transformers), ("safetensors", safetensors), ("numpy", numpy)]
print(", ".join(f"{name} {package.__version__}" for name, package in packages))
"""
    versions = run([str(python), "-c", program]).splitlines()[-1]
    if shutil.which("g++") is None:
        say("torch.compile will not work: there is no g++")
        return versions
    program = """
import torch
x = torch.linspace(-1, 1, 1000)
compiled = torch.compile(lambda x: torch.sin(x) * x + 1)
assert torch.allclose(compiled(x), torch.sin(x) * x + 1)
"""
    run([str(python), "-c", program])
    return versions


def run(command: list[str]) -> str:
    """The standard output of a command. What it complains about is passed on where it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise Trouble(f"cannot start {command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        shown = " ".join(command) if len(command) < 12 and "\n" not in "".join(command) else command[0]
        raise Trouble(f"`{shown}` failed with code {done.returncode}")
    return done.stdout


def say(text: str) -> None:
    """A line for people."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
