"""Sphinx's settings for the web page. `docs/build.py` lays the pages out and calls Sphinx."""

import re
from operator import methodcaller

import seblock

project = "Squeeze-and-excitation, in notebooks"
author = copyright = "the seblock authors"
version = release = seblock.__version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["README.md"]  # index.md shows parts of it

# The notebooks as they are stored, with the anchors that JupyterLab gives their headings.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 6
myst_heading_slug_func = methodcaller("replace", " ", "-")  # "The formula" -> "The-formula"

# Docstrings: the text as it stands, and between backticks code, a link where it names something of ours.
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

# MathJax from its npm package, which docs/build.py puts into the static files. Its parts are named one by
# one: the usual bundle would bring speech, which asks for two megabytes more, and a menu that offers it.
mathjax_path = "mathjax/startup.js"
mathjax4_config = {
    "loader": {"load": ["core", "input/tex", "output/chtml", "a11y/assistive-mml"]},
    "output": {
        "fontPath": "[mathjax]/../mathjax-fonts/%%FONT%%-font",
        "displayOverflow": "linebreak",
    },
}

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["page.css", "live/live.css"]
html_js_files = [("live/page.js", {"defer": ""})]
html_copy_source = True
html_show_sphinx = False
html_use_index = html_domain_indices = False  # the search finds names as well
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
}


def plain(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Let a docstring's signs mean themselves; only `code`, *emphasis*, lists and paragraphs are markup."""
    parts = re.split(r"(`+[^`]*`+|\*\w[^*]*\w\*)", "\n".join(lines))
    parts[::2] = [re.sub(r"([*_|\\])", r"\\\1", text) for text in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def short(
    app: object,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Types by their last name. Sphinx does it itself but for signatures with a default such as <factory>."""
    if signature and "<" in signature:
        signature = re.sub(r"~[\w.]+\.", "", signature)
    return signature, returns


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain)
    app.connect("autodoc-process-signature", short)
