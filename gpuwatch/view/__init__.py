"""The one read model of gpuwatch: ``build_view(window, at)`` and the frozen types it returns."""
