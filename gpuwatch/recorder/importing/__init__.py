"""Past logs into the store: the recorder's own steps over rows that somebody else has written."""

from gpuwatch.recorder.importing.job import MACHINE, NothingToImport, Outcome, Settings, Source, import_log

__all__ = ["MACHINE", "NothingToImport", "Outcome", "Settings", "Source", "import_log"]
