"Sphinx's settings for the site; .ci/site/build.py makes what it reads."

import json
from pathlib import Path

from nbdev.config import get_config

here = Path(__file__).resolve().parent
cfg = get_config(path=here.parents[1])
sources = json.loads((here.parents[1] / '_proc' / 'site' / 'sources.json').read_text())

project, author, release, copyright = cfg.title, cfg.author, cfg.version, cfg.copyright
extensions = ['myst_nb', 'sphinx.ext.linkcode', 'sphinx_copybutton', 'sphinx_design', 'sphinx-mathjax-offline']
exclude_patterns = ['sources.json']

nb_execution_mode = 'off'
nb_output_stderr = 'remove'  # progress bars
nb_merge_streams = True
myst_enable_extensions = ['dollarmath', 'amsmath', 'deflist', 'colon_fence', 'attrs_block', 'attrs_inline']
myst_heading_anchors = 4
myst_dmath_double_inline = True
add_module_names = False

html_theme = 'sphinx_book_theme'
html_title = cfg.title
html_baseurl = f'{cfg.doc_host}{cfg.doc_baseurl}/'
html_static_path = ['static']
html_extra_path = [str(here.parents[1] / '_proc' / 'extra')]  # pictures that pages have as HTML
html_favicon = str(here.parents[1] / '_proc' / 'site' / 'favicon.png')
html_css_files = ['site.css']
html_context = {'default_mode': 'auto'}
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    'repository_url': cfg.git_url,
    'repository_branch': cfg.branch,
    'repository_provider': 'github',
    'use_repository_button': True,
    'use_issues_button': True,
    'use_edit_page_button': False,
    'use_download_button': False,
    'use_fullscreen_button': False,
    'show_toc_level': 2,
    'home_page_in_toc': True,
    'navbar_persistent': [],
    'pygments_light_style': 'a11y-high-contrast-light',
    'pygments_dark_style': 'a11y-high-contrast-dark',
}


def linkcode_resolve(domain, info):
    "The lines of a definition on GitHub."
    found = sources.get(f"{info['module']}.{info['fullname']}")
    return f'{cfg.git_url}/blob/{cfg.branch}/{found[0]}#L{found[1]}-L{found[2]}' if found else None
