"""What one sees: views on offers, drawn in the page and driven by plain Python.

Each widget is two things. A model in plain Python decides (what is shown, what must be asked of
the service, what the status line says) and is tested without a browser. A thin anywidget view
draws it. Rows travel to the page as typed arrays in one binary message and are never part of
the widget's saved state; the page sorts, scrolls and selects by itself, so it stays quick while
the kernel is busy.

Nothing here is imported by ``import vastnb``.
"""
