"""`python -m stones` runs the command line, as `stones` does."""

from stones.command_line.main import main

if __name__ == "__main__":
    main("python -m stones")
