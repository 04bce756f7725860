"""How bash, zsh and fish ask `stones` what may be typed next, and how they are answered.

The script of a shell calls `stones` with `_STONES_COMPLETE=bash_complete` in the environment. The
classes of click that these replace lose words with spaces, commas or backslashes in them, and bash
takes `sqlite:app.db` for three words.
"""

import os
import re
from typing import Any, ClassVar

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

Item = CompletionItem[Any]


def register_shells() -> None:
    """Let click answer the shells by the classes below."""
    for shell in (Bash, Zsh, Fish):
        add_completion_class(shell)


class Bash(BashComplete):
    """bash 4.4 or later. It gives the line up to the cursor, and gets words with their quotes."""

    source_template: ClassVar[str] = """\
%(complete_func)s() {
    local answer
    COMPREPLY=()
    while IFS= read -r answer; do
        case $answer in
            file,*) compopt -o default ;;
            dir,*) compopt -o dirnames ;;
            nospace,*) compopt -o nospace; COMPREPLY+=("${answer#*,}") ;;
            plain,*) COMPREPLY+=("${answer#*,}") ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORD="${COMP_WORDS[COMP_CWORD]}" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        self._words = BashWords(os.environ["COMP_LINE"])
        return self._words.before[1:], self._words.last

    def format_completion(self, item: Item) -> str:
        if item.type in ("file", "dir"):
            return f"{item.type},"
        return f"{item.type},{self._words.reply(item.value, os.environ['COMP_WORD'])}"


class Zsh(ZshComplete):
    """zsh. It quotes the words itself."""

    source_template: ClassVar[str] = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a plain described unspaced answers
    local kind value help
    answers=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for kind value help in "${answers[@]}"; do
        case $kind in
            file) _path_files ;;
            dir) _path_files -/ ;;
            nospace) unspaced+=("$value") ;;
            plain)
                if [[ $help == _ ]]; then
                    plain+=("$value")
                else
                    described+=("$value:$help")
                fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described
    (( $#unspaced )) && compadd -S '' -V unspaced -a unspaced
    (( $#plain )) && compadd -V plain -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


class Fish(FishComplete):
    """fish. It quotes the words itself."""

    source_template: ClassVar[str] = """\
function %(complete_func)s
    for answer in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
            COMP_CWORD=(commandline -ct) %(prog_name)s 2>/dev/null)
        set -l parts (string split -m 1 "," -- $answer)
        switch $parts[1]
            case file
                __fish_complete_path $parts[2]
            case dir
                __fish_complete_directories $parts[2]
            case "*"
                echo $parts[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        words = split_arg_string(os.environ["COMP_WORDS"])[1:]
        last = "".join(split_arg_string(os.environ["COMP_CWORD"]))
        # fish has the word at the cursor in both.
        return words[:-1] if last and words[-1:] == [last] else words, last


class BashWords:
    """The words of a line of bash up to the cursor, without their quotes.

    >>> words = BashWords(r"stones get my-db Visit New\\ Y")
    >>> words.before, words.last
    (['stones', 'get', 'my-db', 'Visit'], 'New Y')
    >>> print(words.reply('New York', r'New\\ Y'))
    New\\ York
    """

    def __init__(self, line: str) -> None:
        self.before: list[str] = []
        """The words before the last one."""
        self.last = ""
        """The word at the cursor, as far as it is typed."""
        self._typed = ""  # the last word with its quotes
        self._quote = ""  # the quotation mark that is open
        self._unquoted = ""  # what of the last word stands before that mark
        characters = iter(line)
        for character in characters:
            if character.isspace() and not self._quote:
                if self._typed:
                    self.before.append(self.last)
                self.last = self._typed = ""
                continue
            self._typed += character
            if self._quote and character == self._quote:
                self._quote = ""
            elif not self._quote and character in "'\"":
                self._quote, self._unquoted = character, self.last
            elif character == "\\" and self._quote != "'":
                escaped = next(characters, "")
                self._typed += escaped
                self.last += escaped if not self._quote or escaped in '"\\$`' else f"\\{escaped}"
            else:
                self.last += character

    def reply(self, word: str, current: str) -> str:
        """What bash shall put in the place of `current`, so that the last word is `word`.

        `current` is a part of the last word where this has a colon: bash takes it for several.
        """
        if self._quote == "'":
            return word.removeprefix(self._unquoted).replace("'", "'\\''")
        if self._quote:
            return re.sub(r'(["\\$`])', r"\\\1", word.removeprefix(self._unquoted))
        home = "~/" if word.startswith("~/") else ""
        written = home + re.sub(r"([^\w@%+=:,./-])", r"\\\1", word.removeprefix(home))
        replaced = "" if current and not current.strip(":=") else current
        kept = self._typed.removesuffix(replaced) if replaced else self._typed
        return written.removeprefix(kept)
