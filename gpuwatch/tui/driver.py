"""Textual's driver for Linux, taking over a terminal on which the first picture stands already."""

from __future__ import annotations

from typing import ClassVar

from textual.drivers.linux_driver import LinuxDriver

from gpuwatch.tui.early import ALTERNATE, FirstPicture


class TakingOver(LinuxDriver):
    """Does not enter the alternate screen again where the first picture did: terminals clear it then."""

    picture: ClassVar[FirstPicture | None] = None

    def write(self, data: str) -> None:
        """To the terminal, but for that one sequence."""
        if data == ALTERNATE and self.picture is not None and self.picture.taken_over():
            return
        super().write(data)
