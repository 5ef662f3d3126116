"""Estimate speakers' transforms (fMLLR)."""

from steps.acoustic.adapting import adapt
from steps.base.cli import command

if __name__ == "__main__":
    command(adapt)
