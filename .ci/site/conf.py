"Sphinx's settings for the site; .ci/site/build.py makes what it reads, .ci/site/finish.py mends what it writes."

import hashlib
import html
import json
from pathlib import Path

from docutils import nodes
from nbdev.config import get_config

here = Path(__file__).resolve().parent
work = here.parents[1] / '_proc'
cfg = get_config(path=here.parents[1])
sources, told = (json.loads((work / 'site' / f'{n}.json').read_text(encoding='utf-8')) for n in ('sources', 'pages'))
words = json.loads((here / 'words.json').read_text(encoding='utf-8'))  # page -> what people may call it
order = [dict(p, caption=s['caption']) for s in told['sections'] for p in s['pages']]  # as a reader goes
places = {p['name']: i for i, p in enumerate(order)}

project, author, release, copyright = cfg.title, cfg.author, cfg.version, cfg.copyright
extensions = ['myst_nb', 'sphinx.ext.linkcode']
exclude_patterns = ['*.json']
suppress_warnings = ['toc.not_included']  # the theme has contents of its own

nb_execution_mode = 'off'
nb_output_stderr = 'remove'  # progress bars
nb_merge_streams = True
myst_enable_extensions = ['dollarmath', 'amsmath', 'deflist', 'colon_fence', 'attrs_block', 'attrs_inline']
myst_heading_anchors = 4
myst_dmath_double_inline = True
add_module_names = False
maximum_signature_line_length = 76

html_theme, html_theme_path = 'theme', [str(here)]
html_title = cfg.title
html_baseurl = f'{cfg.doc_host}{cfg.doc_baseurl}/'
html_static_path = [str(work / 'static')]
html_extra_path = [str(work / 'extra')]  # pictures that pages have as HTML
html_copy_source = html_show_sourcelink = html_domain_indices = False
html_math_renderer = 'built'
html_additional_pages = {'search': 'search.html', '404': '404.html'}


def stamp() -> str:
    "Changes when the style sheet or the script does, so that browsers don't keep an old one."
    files = sorted((here / 'theme' / 'static').glob('site.*'))
    return hashlib.sha256(b''.join(f.read_bytes() for f in files)).hexdigest()[:8]


html_context = dict(
    sections=told['sections'],
    stamp=stamp(),
    repository=cfg.git_url,
    base=html_baseurl,
)


def linkcode_resolve(domain, info):
    "The lines of a definition on GitHub."
    found = sources.get(f"{info['module']}.{info['fullname']}")
    return f'{cfg.git_url}/blob/{cfg.branch}/{found[0]}#L{found[1]}-L{found[2]}' if found else None


def math(self, node):
    "A formula for .ci/site/finish.py to render, together with all others."
    self.body.append(f'<span class="tex">{html.escape(node.astext())}</span>')
    raise nodes.SkipNode


def display(self, node):
    tag = 'span' if isinstance(node.parent, nodes.paragraph) else 'div'
    self.body.append(f'<{tag} class="tex display">{html.escape(node.astext())}</{tag}>')
    raise nodes.SkipNode


def page_context(app, pagename, templatename, context, doctree):
    "What the layout needs to know of a page: where it stands, what comes before and after it, what it is about."
    i = places.get(pagename)
    front = told['front'] if pagename == 'index' else {}
    context['words'] = words.get(pagename, '')
    context['page'] = order[i] if i is not None else front
    context['before'] = order[i - 1] if i else None
    context['after'] = order[i + 1] if i is not None and i + 1 < len(order) else None
    formulas = doctree.findall(lambda n: isinstance(n, (nodes.math, nodes.math_block))) if doctree else iter(())
    context['katex'] = told['katex'] and next(formulas, None) is not None  # its style sheet and fonts are wanted


def setup(app):
    app.add_html_math_renderer('built', (math, None), (display, None))
    app.connect('html-page-context', page_context)
    app.connect('builder-inited', lambda app: setattr(app.builder, 'search', False))  # Pagefind's is better
