"""Let atheris look for inputs on which a target of `targets.py` fails.

`run.py` gives each target its share of `--seconds`, one after the other and each in a process of
its own; `run.py TARGET ...` only those named. What is found is shown with its input, as a Python
literal; then the exit code is 1. `--memory` (MB) and `--hang` (s) are what one input may take.
"""

import argparse
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

try:
    import atheris
except ImportError:
    sys.exit(f"there is no atheris for this Python ({sys.version.split()[0]}, {sys.platform})")

sys.path[0] = str(Path(__file__).parent.parent)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=120, help="for all of them")
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--hang", type=int, default=10)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        fuzz(asked)

    from fuzz.targets import TARGETS

    if unknown := set(asked.targets) - TARGETS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}, only {', '.join(TARGETS)}")
    names = asked.targets or list(TARGETS)
    seconds = max(asked.seconds // len(names), 1)
    limits = ["--memory", str(asked.memory), "--hang", str(asked.hang)]
    return max([run(name, ["--seconds", str(seconds), *limits]) for name in names])


def run(name: str, options: list[str]) -> int:
    """Fuzz one target, and say how that went: 1 if something was found."""
    with TemporaryDirectory(prefix="stones-fuzz-") as folder:
        command = [sys.executable, __file__, name, *options, "--inside", folder]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        found = sorted(Path(folder).glob("found-*"))
        tried = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
        if done.returncode == 0 and not found and tried:
            print(f"{name:<16}{tried[-1].removeprefix('Done ')}, nothing found", flush=True)
            return 0
        print(done.stdout, done.stderr, sep="\n")
        for file in found:
            print(f"{name} FAILED ({file.name}) on {file.read_bytes()!r}")
        print(f"{name} FAILED, with the exit code {done.returncode}", flush=True)
        return 1


def fuzz(asked: argparse.Namespace) -> None:
    """Fuzz one target until the time is over or something is found; never returns."""
    with atheris.instrument_imports(include=["stones", "fuzz", "jsonpath_ng"]):
        from fuzz.targets import TARGETS
    fuzzed = TARGETS[asked.targets[0]]
    corpus = asked.inside / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(fuzzed.seeds):
        (corpus / str(number)).write_bytes(seed)
    warnings.simplefilter("ignore", DeprecationWarning)  # of all that jsonpath-ng will drop
    options = [
        f"-max_total_time={asked.seconds}",
        f"-rss_limit_mb={asked.memory}",
        f"-timeout={asked.hang}",
        f"-artifact_prefix={asked.inside}/found-",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], fuzzed.target)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
