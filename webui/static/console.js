// The console tab: earlier commands by the arrow keys, completion from the vocabulary,
// and the newest answer in sight. Without it the form still sends.
//
// The form and the list are replaced while the page lives, so everything is heard at
// the document and looked up when it is needed.

const byID = (id) => document.getElementById(id);
const mostOffers = 8;

/* The newest answer is in sight until the reader scrolls up. */

let follows = true;
const list = () => byID('exchanges');
const toEnd = () => { if (follows && list()) list().scrollTop = list().scrollHeight; };

document.addEventListener('scroll', (e) => {
  const el = e.target;
  if (el.id === 'exchanges') follows = el.scrollHeight - el.scrollTop - el.clientHeight < 40;
}, { capture: true, passive: true });

document.addEventListener('left4me:swap', (e) => {
  if (e.detail !== 'exchanges') return;
  toEnd();
  const last = list().querySelector('.exchange:last-of-type');
  if (!last?.querySelector('.state.busy')) byID('hear').textContent = last?.querySelector('.why, pre, .rest')?.textContent.slice(0, 200) || '';
});

/* What was sent, newest last: what the page shows, then what is typed now. */

let at = null; // place in the history; null is the line being typed
let draft = '';
const past = () => [...document.querySelectorAll('.exchange[data-line]')].map((e) => e.dataset.line)
  .filter((line, i, lines) => !line.includes('********') && line !== lines[i + 1]);

function recall(input, step) {
  const lines = past();
  if (at === null) {
    if (step > 0) return;
    draft = input.value;
    at = lines.length;
  }
  at = Math.max(0, Math.min(lines.length, at + step));
  input.value = at === lines.length ? draft : lines[at];
  if (at === lines.length) at = null;
  input.setSelectionRange(input.value.length, input.value.length);
}

/* Completion. The word under the cursor is completed where a command may begin, and
   behind sm_cvar. */

let words = null;
let offered = [];
let chosen = -1;

async function load() {
  if (words) return;
  words = [];
  try {
    const answer = await fetch(byID('console-form').dataset.words);
    if (answer.ok) words = await answer.json();
  } catch { /* there is no completion then */ }
  const input = byID('command');
  if (document.activeElement === input) offer(input); // what was typed meanwhile
}

function wordAt(input) {
  const before = input.value.slice(0, input.selectionStart);
  const [, head, word] = before.match(/^((?:.*;)?\s*(?:(?:sm_cvar|help)\s+)?)([A-Za-z_][A-Za-z0-9_]*)$/i) || [];
  return word ? { start: head.length, end: before.length, word: word.toLowerCase() } : null;
}

function offer(input) {
  const part = wordAt(input);
  offered = part ? (words || []).filter((w) => w.name.startsWith(part.word) && w.name !== part.word).slice(0, mostOffers) : [];
  chosen = -1;
  show(input);
}

function show(input) {
  const box = byID('offers');
  box.replaceChildren(...offered.map((w, i) => {
    const item = document.createElement('li');
    item.id = `offer-${i}`;
    item.setAttribute('role', 'option');
    item.setAttribute('aria-selected', String(i === chosen));
    item.append(Object.assign(document.createElement('code'), { textContent: w.name }), Object.assign(document.createElement('span'), { className: 'dim small', textContent: w.help }));
    item.addEventListener('pointerdown', (e) => { e.preventDefault(); take(input, i); offered = []; show(input); });
    return item;
  }));
  box.hidden = !offered.length;
  input.setAttribute('role', 'combobox');
  input.setAttribute('aria-controls', 'offers');
  input.setAttribute('aria-autocomplete', 'list');
  input.setAttribute('aria-expanded', String(!!offered.length));
  if (chosen < 0) input.removeAttribute('aria-activedescendant');
  else input.setAttribute('aria-activedescendant', `offer-${chosen}`);
}

// take puts an offer into the line; the list stays, so that Tab again takes the next.
function take(input, i) {
  const part = wordAt(input);
  if (!part || !offered[i]) return;
  chosen = i;
  input.setRangeText(offered[i].name, part.start, part.end, 'end');
}

document.addEventListener('focusin', (e) => { if (e.target.id === 'command') load(); });
document.addEventListener('focusout', (e) => { if (e.target.id === 'command') { offered = []; show(e.target); } });
document.addEventListener('input', (e) => {
  if (e.target.id !== 'command') return;
  at = null;
  offer(e.target);
});

document.addEventListener('keydown', (e) => {
  const input = e.target;
  if (input.id !== 'command' || e.ctrlKey || e.altKey || e.metaKey || e.isComposing) return;
  switch (e.key) {
    case 'ArrowUp':
    case 'ArrowDown':
      recall(input, e.key === 'ArrowUp' ? -1 : 1);
      offered = [];
      show(input);
      break;
    case 'Tab':
      if (!offered.length) return;
      take(input, (chosen + (e.shiftKey ? -1 : 1) + offered.length + (chosen < 0 && e.shiftKey ? 1 : 0)) % offered.length);
      show(input);
      break;
    case 'Escape':
      if (!offered.length) return;
      offered = [];
      show(input);
      break;
    default:
      return;
  }
  e.preventDefault();
});

/* A line that is on its way leaves the field; one that was refused comes back with the
   form. */

document.addEventListener('htmx:beforeRequest', (e) => {
  if (e.target.id !== 'console-form') return;
  offered = [];
  show(byID('command'));
  at = null;
  follows = true;
});
document.addEventListener('htmx:afterRequest', (e) => {
  if (e.target.id !== 'console-form') return;
  const input = byID('command');
  if (e.detail.successful && input.value === e.detail.requestConfig.parameters.command) input.value = '';
});

addEventListener('resize', () => { const end = follows; requestAnimationFrame(() => { follows = end; toEnd(); }); }); // a turned phone breaks lines elsewhere
toEnd();
if (document.activeElement?.id === 'command') load();
