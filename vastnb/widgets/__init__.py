"""What one sees: a folder for each widget, drawn in the page and driven by plain Python.

In each, ``widget.py`` moves data between page and kernel, and is all that a user holds;
``model.py`` decides, and is driven by tests without a page; ``view.py`` says what is shown, as
plain values, and leaves the HTML copy of a saved notebook; ``view.js`` and ``view.css`` draw it.
Two files with one stem are the two halves of one thing. Imports run one way: ``explorer`` >
``rent`` > ``monitor``, and ``prices``; all of them > ``table`` > ``kit``.

Rows travel to the page as typed arrays in one binary message and are never part of the widget's
saved state; the page sorts, scrolls and selects by itself, so it stays quick while the kernel is
busy. Nothing here is imported by ``import vastnb``.
"""
