"""The screens in the order of their digits: a new screen is its module and its line here."""

from __future__ import annotations

from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.screens.gpu import GpuScreen
from gpuwatch.tui.screens.later import HistoryScreen, ReportScreen
from gpuwatch.tui.screens.overview import OverviewScreen
from gpuwatch.tui.screens.processes import ProcessesScreen
from gpuwatch.tui.screens.waste import WasteScreen
from gpuwatch.tui.screens.workload import WorkloadScreen

SCREENS: dict[str, type[PanelScreen]] = {
    "1": OverviewScreen,
    "2": GpuScreen,
    "3": ProcessesScreen,
    "4": WasteScreen,
    "5": HistoryScreen,
    "6": ReportScreen,
}

WORKLOAD = "workload"
INNER: dict[str, type[PanelScreen]] = {WORKLOAD: WorkloadScreen}
"""Screens without a digit: they are opened from a row of another one, and Esc goes back there."""
