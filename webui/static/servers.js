// The list of servers: filtering at once, and choosing many. Without this script the
// filter is a form that is sent, and each card has its own box to tick.

const one = (q) => document.querySelector(q);
const every = (q) => [...document.querySelectorAll(q)];
const text = one('#filter-text'), state = one('#filter-state'), act = one('#act');
const chosen = new Set(every('.choose:checked').map((box) => box.value)); // a browser restores ticks
document.documentElement.classList.add('js');

/* Filter. All cards are in the page; those that are not looked for are hidden. */

function filter() {
  const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of every('.grid > .card')) {
    const { find, kind } = card.dataset;
    card.hidden = (state.value && state.value !== kind) || !words.every((w) => find.includes(w));
    if (!card.hidden) shown++;
  }
  one('#none-shown').hidden = shown > 0 || !one('.grid > .card');
}

function remember() {
  const query = new URLSearchParams();
  if (text.value.trim()) query.set('q', text.value.trim());
  if (state.value) query.set('state', state.value);
  history.replaceState(null, '', query.size ? `/servers?${query}` : '/servers');
}

/* Choosing. What is chosen stays so while cards come and go; only what is shown is
   acted on. */

function boxes() { return every('.grid > .card:not([hidden]) .choose'); }

function showChosen() {
  for (const box of every('.choose')) box.checked = chosen.has(box.value);
  const shown = boxes(), ticked = shown.filter((box) => box.checked);
  for (const box of every('.card[hidden] .choose')) box.disabled = true; // a disabled box is not sent
  for (const box of shown) box.disabled = false;
  const players = ticked.reduce((n, box) => n + Number(box.closest('.card').dataset.players), 0);
  act.querySelector('[data-chosen]').textContent = ticked.length ? `${ticked.length} chosen${players ? `, ${players} playing` : ''}` : '';
  for (const button of act.querySelectorAll('button')) button.disabled = !ticked.length;
  const allBox = act.querySelector('[data-choose-all] input');
  allBox.checked = shown.length > 0 && ticked.length === shown.length;
  allBox.indeterminate = ticked.length > 0 && ticked.length < shown.length;
}

function choose(box, on) { if (on) chosen.add(box.value); else chosen.delete(box.value); }

if (text && state && act) {
  let last = null; // the box that was ticked last: shift takes all between
  const again = () => { filter(); showChosen(); };
  text.addEventListener('input', () => { again(); remember(); });
  state.addEventListener('change', () => { again(); remember(); });
  one('[data-filter]').addEventListener('submit', (e) => { e.preventDefault(); again(); remember(); });
  document.addEventListener('click', (e) => {
    const box = e.target.closest?.('.choose');
    if (!box) return;
    const list = boxes(), from = list.findIndex((b) => b.value === last), to = list.indexOf(box);
    if (e.shiftKey && from >= 0) for (const b of list.slice(Math.min(from, to), Math.max(from, to) + 1)) choose(b, box.checked);
    else choose(box, box.checked);
    last = box.value;
    showChosen();
  });
  act.querySelector('[data-choose-all] input').addEventListener('change', (e) => {
    for (const box of boxes()) choose(box, e.target.checked);
    showChosen();
  });
  document.addEventListener('keydown', (e) => {
    const typing = e.target.closest?.('input:not([type=checkbox]), textarea, select');
    if (e.key === '/' && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) { e.preventDefault(); text.focus(); text.select(); }
    if (e.key === 'Escape' && e.target === text && text.value) { text.value = ''; again(); remember(); }
  });
  let due = 0; // many cards may come at once; a frame is early enough to hide one
  const soon = () => { due ||= requestAnimationFrame(() => { due = 0; again(); }); };
  document.addEventListener('left4me:swap', soon);
  document.addEventListener('htmx:afterSwap', soon);
  addEventListener('pageshow', again);
  again();
}
