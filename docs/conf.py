"""Settings of Sphinx; a warning is an error (``tox -e docs``)."""

import sys
from pathlib import Path

from pluginserver.version import __version__

project = "pluginserver"
copyright = "the pluginserver authors"
version = release = __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

extensions = [
    "pdk",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosectionlabel",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
# Prompts, and what commands print, are not copied.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
autosectionlabel_prefix_document = True
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pluginserver {__version__}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
