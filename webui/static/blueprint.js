// What the blueprint page can do beside its plain forms: overlays are dragged, and
// a map goes into arguments that are not saved yet.

const byID = (id) => document.getElementById(id);
document.documentElement.classList.add('js');

/* Dragging. The order is sent once, when the pointer lets go; the buttons beside
   each entry do the same by keyboard. */

let held = null;

document.addEventListener('pointerdown', (e) => {
  const grip = e.target.closest?.('.grip');
  const item = grip?.closest('[data-overlay]');
  if (!item || e.button > 0) return;
  e.preventDefault();
  held = { item, list: item.parentElement, before: order(item.parentElement) };
  item.classList.add('held');
  grip.setPointerCapture(e.pointerId);
});

document.addEventListener('pointermove', (e) => {
  if (!held) return;
  if (!held.item.isConnected) { held = null; return; } // the stream put a fresh list there
  for (const other of held.list.querySelectorAll('[data-overlay]')) {
    if (other === held.item) continue;
    const box = other.getBoundingClientRect();
    if (e.clientY < box.top || e.clientY > box.bottom) continue;
    const below = held.item.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;
    if (below ? e.clientY > box.top + box.height / 2 : e.clientY < box.top + box.height / 2) other[below ? 'after' : 'before'](held.item);
  }
});

function drop(save) {
  if (!held) return;
  const { item, list, before } = held;
  held = null;
  item.classList.remove('held');
  const now = order(list);
  if (!save || now.join() === before.join()) {
    for (const id of before.toReversed()) list.prepend(list.querySelector(`[data-overlay="${id}"]`));
    return;
  }
  window.htmx.ajax('POST', list.dataset.reorder, { target: '#blueprint-overlays', swap: 'outerHTML', values: { do: 'order', order: now } });
}

const order = (list) => [...list.querySelectorAll('[data-overlay]')].map((el) => el.dataset.overlay);

document.addEventListener('pointerup', () => drop(true));
document.addEventListener('pointercancel', () => drop(false));
document.addEventListener('keydown', (e) => { if (e.key === 'Escape') drop(false); });

// The button that was pressed keeps the focus, also when its entry has moved.
document.addEventListener('htmx:afterSwap', (e) => {
  const id = e.detail.requestConfig?.elt?.id || e.detail.requestConfig?.triggeringEvent?.submitter?.id;
  if (e.detail.target?.id !== 'blueprint-overlays' || !id) return;
  const button = byID(id);
  const twin = button?.disabled ? button.parentElement.querySelector('button:not([disabled])') : button;
  twin?.focus();
});

// What was done is told to those who do not see it. It is no part of the list: the
// live stream would take it away again.
document.addEventListener('said', (e) => { byID('hear').textContent = e.detail.value; });

/* Maps. */

document.addEventListener('toggle', (e) => {
  const picker = e.target;
  if (!picker.matches?.('details[data-maps]') || !picker.open || picker.dataset.loaded) return;
  picker.dataset.loaded = '1';
  window.htmx.ajax('GET', picker.dataset.maps, { target: picker.querySelector('div'), swap: 'innerHTML' });
}, true);

document.addEventListener('click', (e) => {
  const choice = e.target.closest?.('.picker button[name=map]');
  if (!choice) return;
  e.preventDefault();
  const picker = choice.closest('.picker');
  window.htmx.ajax('POST', '/arguments', {
    target: '#arguments-field', swap: 'outerHTML', values: { arguments: byID('b-arguments').value, blueprint: byID('arguments-field').dataset.blueprint, map: choice.value },
  }).then(() => {
    picker.open = false;
    picker.querySelector('summary').focus();
    byID('hear').textContent = `${choice.textContent} is the first map. Save to keep it.`;
  });
});

document.addEventListener('input', (e) => {
  const filter = e.target.dataset?.filter;
  if (!filter) return;
  const wanted = e.target.value.trim().toLowerCase();
  for (const el of document.querySelectorAll(filter)) el.hidden = !el.textContent.toLowerCase().includes(wanted);
});
document.addEventListener('htmx:afterSettle', () => { for (const el of document.querySelectorAll('[data-filter]')) el.hidden = false; });
