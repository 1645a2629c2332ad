"""How the documentation's site is made: `make docs`, into out/docs. It loads nothing from elsewhere."""

import lhq_toolkit

project = "LHQ Toolkit"
author = "the authors of LHQ Toolkit"
copyright = "the authors of LHQ Toolkit, Apache-2.0"  # noqa: A001 (Sphinx's name)
release = version = lhq_toolkit.__version__

extensions = ["myst_parser", "lhq_toolkit.site.extension"]
exclude_patterns = ["_build"]
nitpicky = True  # a reference that leads nowhere is an error
smartquotes = False  # --options stay as they are typed
myst_heading_anchors = 4  # links to headings, as code hosts have them

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_last_updated_fmt = None  # the same sources give the same pages

linkcheck_timeout = 20
linkcheck_anchors = False  # pages that draw themselves by script have none
linkcheck_retries = 2
