"""Every example in the docs is run, in order, as its reader would.

Of each Markdown document, in one fresh folder and one namespace:

- ```` ```python ```` is run statement by statement. `#> ` lines right after a statement are what it
  shows: what it prints, its value where it is an expression, or the error that it ends with.
- ```` ```console ```` holds `$ ` lines for the shell, each followed by what it prints. They must
  succeed; in ```` ```console fails ```` they must fail.
- ```` ```sh ```` and the other languages in NEVER_RUN are only shown.

In what is expected, `...` stands for anything. The examples in docstrings are doctest's; they may
use all public names.
"""

import ast
import code
import contextlib
import doctest
import importlib
import io
import os
import re
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest

import stones
from stones import errors

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    if "_build" not in path.parts
]
SERVERS = {"stones.stores.postgres": "postgres_url", "stones.stores.redis": "redis_url"}
"""The modules with examples that need a server, and the fixture that gives its URL as `url`."""
MODULES = sorted(
    ".".join(Path(folder, name).relative_to(ROOT).with_suffix("").parts)
    for folder, _, names in os.walk(ROOT / "stones", followlinks=True)
    for name in names
    if name.endswith(".py") and not name.startswith("__")
)
PUBLIC = {name: getattr(stones, name) for name in stones.__all__}
OPENING = re.compile(r"^ *```[^`\s]", re.MULTILINE)
FENCE = re.compile(r"^( *)```([^`\s].*)\n((?:.*\n)*?)\1```$", re.MULTILINE)
NEVER_RUN = {"sh", "text", "toml", "json", "yaml"}


LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#]+)")


def check(expected: str, shown: str, where: str) -> None:
    lines = [line.rstrip() for line in shown.rstrip().splitlines()]
    pattern = re.escape(expected.rstrip()).replace(r"\.\.\.", ".*")
    if not re.fullmatch(pattern, "\n".join(lines), re.DOTALL):
        pytest.fail(f"{where} shows\n{shown}\nnot\n{expected}", pytrace=False)


def show(statement: ast.stmt, namespace: dict, path: str, may_fail: bool) -> str:
    """What a statement prints, or its value; an error of it is raised unless it may fail."""
    if isinstance(statement, ast.Expr):
        code = compile(ast.Interactive([statement]), path, "single")
    else:  # a REPL would show the values inside of a loop too
        code = compile(ast.Module([statement], []), path, "exec")
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            exec(code, namespace)
        except Exception as error:
            if not may_fail:
                raise
            print(f"{type(error).__name__}: {error}")
    return shown.getvalue()


def run_python(block: str, namespace: dict, path: str, line: int) -> None:
    lines = block.splitlines()
    unseen = sum(text.lstrip().startswith("#>") for text in lines)
    for statement in ast.parse(block).body:
        after = lines[statement.end_lineno :]
        expected = []
        while len(expected) < len(after) and after[len(expected)].lstrip().startswith("#>"):
            expected.append(after[len(expected)].lstrip()[2:].removeprefix(" "))
        where = f"{path}:{line + statement.lineno}"
        shown = show(ast.increment_lineno(statement, line), namespace, path, bool(expected))
        if expected:
            check("\n".join(expected), shown, where)
        unseen -= len(expected)
    assert not unseen, f"{path}:{line}: a `#>` that does not follow a statement of the block"


def run_console(block: str, fails: bool, path: str, line: int) -> None:
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    }
    before, *commands = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert not before, f"{path}:{line}: a console block starts with a `$ ` line"
    for text in commands:
        command, _, expected = text.partition("\n")
        run = subprocess.run(
            ["bash", "-c", command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        check(expected, run.stdout, f"{path}:{line}: $ {command}")
        assert (run.returncode != 0) == fails, f"{path}:{line}: $ {command}: {run.returncode}"


def run_document(text: str, path: str, namespace: dict) -> None:
    fences = list(FENCE.finditer(text))
    assert len(fences) == len(OPENING.findall(text)), f"{path}: a block is not closed"
    for fence in fences:
        language, _, option = fence[2].strip().partition(" ")
        block = textwrap.dedent(fence[3])
        line = text.count("\n", 0, fence.start()) + 1
        if language == "python":
            run_python(block, namespace, path, line)
        elif language == "console":
            assert option in {"", "fails"}, f"{path}:{line}: ```console {option}"
            run_console(block, option == "fails", path, line)
        else:
            known = language in NEVER_RUN or language.startswith("{")
            assert known, f"{path}:{line}: neither run nor known as never run: ```{language}"


@pytest.fixture
def namespace(tmp_path, monkeypatch):
    """The namespace of `__main__`, as in a script or a REPL, in a fresh folder."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.chdir(tmp_path)
    return vars(main)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_of_a_document_run_and_show_what_it_says(path, namespace):
    run_document(path.read_text(), str(path.relative_to(ROOT)), namespace)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_docstring_run_and_show_what_it_says(
    name, tmp_path, monkeypatch, capsys, request
):
    monkeypatch.chdir(tmp_path)
    url = {"url": request.getfixturevalue(SERVERS[name])} if name in SERVERS else {}
    failed, _ = doctest.testmod(
        importlib.import_module(name), extraglobs=PUBLIC | url, optionflags=doctest.ELLIPSIS
    )
    assert failed == 0, capsys.readouterr().out


def test_the_reference_has_every_public_name():
    pages = "".join(path.read_text() for path in ROOT.glob("docs/reference/*.md"))
    documented = set(re.findall(r"^\.\. auto\w+:: (\w+)(?:\(\))?$", pages, re.MULTILINE))
    assert set(stones.__all__) - documented - set(vars(errors)) - {"EncoderException"} == set()
    assert "`EncoderException`" in pages


@pytest.mark.parametrize("cls", [stones.Store, stones.Collection, stones.Query])
def test_the_tables_of_the_reference_have_every_public_method(cls):
    page = ROOT.joinpath("docs/reference/api.md").read_text()
    listed = re.findall(rf"^   {cls.__name__}\.(\w+)$", page, re.MULTILINE)
    methods = [x for x in dir(cls) if not x.startswith("_") and callable(getattr(cls, x))]
    assert sorted(listed) == sorted(methods)


def test_the_reference_of_the_command_line_is_what_the_commands_tell():
    """If it is not, `make reference` writes it anew."""
    # In a process of its own: other tests register serializers, which are the choices of options.
    done = subprocess.run(
        [sys.executable, ROOT / "docs/command_reference.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


RIGHT = """\
```python
x = 1
x
#> 1
for i in range(2):
    i
    print(i)
    #> 0
    #> 1
{}['gone']
#> KeyError: 'gone'
import pathlib
pathlib.Path('file').write_text('text')
#> ...
print(__name__, 'a long story')
#> __main__ a ... story
```

1. In a list:

   ```console
   $ cat file
   text
   $ true
   ```

```console fails
$ cat nowhere
cat: nowhere: ...
```

```sh
exit 1
```
"""


def test_a_document_that_tells_the_truth_passes(namespace):
    run_document(RIGHT, "right.md", namespace)
    assert namespace["x"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        "```python\n1\n#> 2\n```",
        "```python\nprint(1)\n#> 1\n#> 2\n```",
        "```python\nx = 1\n#> 1\n```",
        "```python\n{}['gone']\n```",
        "```python\nif True:\n    1\n    #> 2\n    3\n```",
        "```python\n1\n#> ValueError: ...\n```",
        "```console\n$ echo yes\nno\n```",
        "```console\n$ echo yes\n```",
        "```console\n$ false\n```",
        "```console fails\n$ true\n```",
        "```console\nls\n```",
        "```py\n1\n```",
        "```python\n1\n",
        "```python\n1\n ```",
        "```bash\nls\n```",
    ],
)
def test_a_document_that_does_not_fails(wrong, namespace):
    with pytest.raises((AssertionError, KeyError, pytest.fail.Exception)):
        run_document(wrong, "wrong.md", namespace)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_document_lead_somewhere(path):
    dead = [link for link in LINK.findall(path.read_text()) if not (path.parent / link).exists()]
    assert dead == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/explanation/layout.md"])
def test_the_files_that_a_guide_to_the_source_names_are_there(name):
    path = r"`((?:stones|collections|migrations|tests)/[\w/.]*)`"
    named = re.findall(path, ROOT.joinpath(name).read_text())
    assert named
    # An sdist has collections/ and migrations/ inside of stones/ only.
    assert [x for x in named if not any((ROOT / top / x).exists() for top in ("", "stones"))] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_is_wrapped_at_100_columns(path):
    lines = path.read_text().splitlines()
    long = [x for x in lines if len(x) > 100 and not x.lstrip().startswith(("|", "!["))]
    assert long == []


class Pasted(code.InteractiveConsole):
    """A REPL that only reads: what it cannot parse line by line is an error."""

    def runcode(self, code):
        pass

    def showsyntaxerror(self, filename=None, **kwargs):
        pytest.fail(f"cannot be pasted: {self.buffer}", pytrace=False)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_of_a_document_can_be_pasted_into_a_repl(path):
    for indent, language, block in FENCE.findall(path.read_text()):
        if language == "python":
            repl = Pasted()
            for line in block.splitlines():
                if not line.strip().startswith("#>"):
                    repl.push(line.removeprefix(indent))
            repl.push("")
