"""What a board runs first. A main.py of your own does the same with its own tasks: run(measure(), …)."""

from ikev2_main import run, sleep, status  # noqa: F401

run()
