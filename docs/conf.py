"""Settings of Sphinx; a warning is an error (``tox -e docs``)."""

from pluginserver.version import __version__

project = "pluginserver"
copyright = "the pluginserver authors"
version = release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosectionlabel", "sphinx.ext.viewcode"]
autosectionlabel_prefix_document = True
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pluginserver {__version__}"
html_show_copyright = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
