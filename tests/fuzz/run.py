"""Let atheris look for inputs on which a target of `targets.py` fails.

`run.py` runs each target in a process of its own, one after the other, for an equal part of
`--seconds`. `run.py TARGET ...` runs only these targets. A failure is shown with its input, as a
Python literal, and then the exit code is 1. One input may take `--memory` MB and `--hang` seconds.
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
    parser.add_argument("--seconds", type=int, default=120, help="for all targets together")
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--hang", type=int, default=10)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        fuzz(arguments)

    from fuzz.targets import TARGETS

    if unknown := set(arguments.targets) - TARGETS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}, only {', '.join(TARGETS)}")
    names = arguments.targets or list(TARGETS)
    seconds = max(arguments.seconds // len(names), 1)
    limits = ["--memory", str(arguments.memory), "--hang", str(arguments.hang)]
    return max([run(name, ["--seconds", str(seconds), *limits]) for name in names])


def run(name: str, options: list[str]) -> int:
    """Fuzz one target and print the result. Gives the exit code: 1 if the target failed."""
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


def fuzz(arguments: argparse.Namespace) -> None:
    """Fuzz one target until the time is over or it fails. Never returns."""
    with atheris.instrument_imports(include=["stones", "fuzz", "jsonpath_ng"]):
        from fuzz.targets import TARGETS
    fuzzed = TARGETS[arguments.targets[0]]
    corpus = arguments.inside / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(fuzzed.seeds):
        (corpus / str(number)).write_bytes(seed)
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # jsonpath-ng's, of grammar that it will drop
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-rss_limit_mb={arguments.memory}",
        f"-timeout={arguments.hang}",
        f"-artifact_prefix={arguments.inside}/found-",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], fuzzed.target)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
