"""`python -m stones` runs the command line, as `stones` does."""

from stones.command_line.main import run

if __name__ == "__main__":
    run("python -m stones")
