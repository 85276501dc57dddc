// What the pages do: light and dark, contents on a phone, search, copying code, and where one is on a page.
const root = document.documentElement
const $ = (selector, within = document) => within.querySelector(selector)
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)]

// light and dark: as the system has it, until somebody chooses
$('.bar .theme').onclick = () => {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
  const next = (root.dataset.theme ?? system) === 'dark' ? 'light' : 'dark'
  root.dataset.theme = next
  try { localStorage.setItem('theme', next) } catch { /* a browser that keeps nothing */ }
}

// contents on a phone
const menu = $('.menu')
const open = yes => {
  document.body.classList.toggle('menu-open', yes)
  menu.setAttribute('aria-expanded', yes)
}
menu.onclick = () => open(!document.body.classList.contains('menu-open'))
addEventListener('keydown', e => { if (e.key === 'Escape') open(false) })
$('.contents [aria-current]')?.scrollIntoView({ block: 'nearest' })

// words that say nothing of what is looked for
const SMALL = new Set('a an and are can do does for how i in is it my of on or our the this to what which with your'.split(' '))
const telling = words => words.split(/\s+/).filter(w => !SMALL.has(w.toLowerCase())).join(' ') || words

// search: what Pagefind finds, by section
let pagefind
async function engine() {
  if (!pagefind) {
    pagefind = await import(new URL(`${root.dataset.root}pagefind/pagefind.js`, location.href).href)
    await pagefind.options({
      excerptLength: 24,
      ranking: { pageLength: 0.35, termFrequency: 0.6, termSaturation: 1.4, termSimilarity: 2, metaWeights: { title: 6, words: 20 } },
    })
  }
  return pagefind
}

const made = (tag, content, markup = false) => {
  const e = document.createElement(tag)
  if (markup) e.innerHTML = content // Pagefind's excerpt: escaped text and <mark>
  else e.textContent = content
  return e
}

function hit(data) {
  const row = document.createElement('li')
  const link = (url, title, excerpt) => {
    const a = document.createElement('a')
    a.href = url
    a.append(made('strong', title), made('p', excerpt, true))
    return a
  }
  const parts = data.sub_results.filter(s => s.url !== data.url)
  const best = [...parts].sort((a, b) => b.weighted_locations.length - a.weighted_locations.length).slice(0, 3)
  row.append(link(data.url, data.meta.title, data.excerpt))
  if (best.length) {
    const list = document.createElement('ul')
    for (const s of best) {
      const item = document.createElement('li')
      item.append(link(s.url, s.title, s.excerpt))
      list.append(item)
    }
    row.append(list)
  }
  return row
}

for (const box of $$('[data-search]')) {
  const field = $('input', box)
  const said = $('.said', box)
  const hits = $('.hits', box)
  let turn = 0
  const look = async () => {
    const mine = ++turn
    const words = field.value.trim()
    if (!words) { hits.replaceChildren(); said.textContent = ''; return }
    try {
      const found = (await (await engine()).search(telling(words))).results
      const first = await Promise.all(found.slice(0, 12).map(r => r.data()))
      if (mine !== turn) return
      said.textContent = found.length ? `${found.length} ${found.length > 1 ? 'pages' : 'page'}` : `Nothing about “${words}”.`
      hits.replaceChildren(...first.map(hit))
    } catch (e) {
      said.textContent = 'The search could not be loaded: open the site over http, not as files.'
    }
  }
  field.oninput = look
  if (box.tagName !== 'DIALOG') {
    field.value = new URLSearchParams(location.search).get('q') ?? ''
    field.focus()
    look()
  }
}

const dialog = $('dialog.search')
const ask = e => {
  e.preventDefault()
  const page = $('div.search input')
  if (page) return page.focus()
  dialog.showModal()
  engine().catch(() => {})
}
$('.find').onclick = ask
addEventListener('keydown', e => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName)
  if ((e.key === '/' && !typing) || (e.key === 'k' && (e.ctrlKey || e.metaKey))) ask(e)
})
dialog.onkeydown = e => { if (e.key === 'Escape') dialog.close() } // at once: a field for searching would be cleared first
dialog.onclick = e => { if (e.target === dialog) dialog.close() }

// code: copied with a click, without prompts
for (const block of $$('article div.highlight:not(.cell_output *)')) {
  const button = made('button', 'Copy')
  button.className = 'copy'
  button.type = 'button'
  button.onclick = async () => {
    await navigator.clipboard.writeText($('pre', block).textContent)
    button.textContent = 'Copied'
    setTimeout(() => { button.textContent = 'Copy' }, 1500)
  }
  block.append(button)
}

// a link into something that is folded opens it
const unfold = () => {
  const goal = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)))
  for (let e = goal; e; e = e.parentElement) if (e.tagName === 'DETAILS') e.open = true
}
addEventListener('hashchange', unfold)
unfold()

// what is wider than its column can be moved with the keyboard
const reach = () => {
  for (const e of $$('.table, .math.display, .highlight-text pre')) {
    if (e.scrollWidth > e.clientWidth) e.tabIndex = 0
    else e.removeAttribute('tabindex')
  }
}
addEventListener('resize', reach)
reach()

// where one is
const marks = new Map($$('.toc a[href^="#"]').map(a => [a.getAttribute('href').slice(1), a]))
const seen = new IntersectionObserver(entries => {
  for (const e of entries) {
    if (!e.isIntersecting) continue
    for (const a of marks.values()) a.classList.remove('here')
    marks.get(e.target.id)?.classList.add('here')
  }
}, { rootMargin: '-10% 0px -75% 0px' })
for (const id of marks.keys()) {
  const goal = document.getElementById(id)
  if (goal) seen.observe(goal)
}
