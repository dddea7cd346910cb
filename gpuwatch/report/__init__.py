"""Text made from a View: what ``status`` prints, and later the reports. Knows only the view."""
