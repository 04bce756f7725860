"""The bar that `progress.progress_bar` draws, by rich."""

from rich import filesize
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Bar:
    """One line on stderr: the label, the bar, what is done, the rate, and the time left."""

    def __init__(self, label: str, unit: str) -> None:
        self._drawn = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Done(),
            _Rate(unit),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True),
            # What the command prints on stdout is for others.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._drawn.add_task(label, total=None)

    def start(self) -> None:
        """Draw the bar, and again four times a second or more."""
        self._drawn.start()

    def move(self, done: int, total: int | None = None) -> None:
        """Say what is done, of how much."""
        self._drawn.update(self._task, completed=done, total=total)

    def stop(self) -> None:
        """Leave the bar as it is, and the cursor below it."""
        self._drawn.stop()


class _Done(ProgressColumn):
    """The part that is done, or the number that is done if nobody knows of how many."""

    def render(self, task: Task) -> Text:
        if task.total is None and task.completed:
            return Text(f"{task.completed:,.0f}")
        return Text(f"{task.percentage:>3.0f}%")


class _Rate(ProgressColumn):
    """How many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._per_second = f" {unit}/s" if unit else "/s"

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if speed is not None and self._per_second == " bytes/s":
            return Text(f"{filesize.decimal(int(speed))}/s", style="dim")
        return Text("" if speed is None else f"{speed:,.0f}{self._per_second}", style="dim")
