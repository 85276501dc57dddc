// Formulas as HTML: a list of [tex, display] comes in, a list of HTML goes out; an error of one is an error of all.
import katex from 'katex'

let text = ''
for await (const part of process.stdin) text += part
const made = JSON.parse(text).map(([tex, displayMode]) => katex.renderToString(tex, { displayMode, strict: false }))
process.stdout.write(JSON.stringify(made))
