// Launch arguments as a list: one row an argument, with its value, its help and what
// the host says of it. The text field is what is sent; the list is read from it by
// the server and writes back into it. Without this script the text field is there.

(() => {
  const el = (id) => document.getElementById(id);
  const field = () => el('arguments-field');
  const text = () => el('b-arguments');
  const rows = () => [...document.querySelectorAll('#argv [data-arg]')];
  const value = (row) => row.querySelector('input').value.trim();
  let version = 0; // counts changes: an answer to an older one is not shown
  let timer = 0;

  // write puts the list into the text field.
  function write() {
    version++;
    text().value = rows().map((row) => [row.dataset.arg, value(row)].filter(Boolean).join(' ')).join(' ');
    text().dispatchEvent(new Event('change', { bubbles: true }));
  }

  // show asks what the text comes to. then runs once it is there.
  async function show(then) {
    clearTimeout(timer);
    const mine = ++version;
    const body = new URLSearchParams({ arguments: text().value, blueprint: field().dataset.blueprint });
    let html = '';
    try {
      const answer = await fetch('/arguments', { method: 'POST', body, headers: { 'HX-Request': 'true' } });
      if (!answer.ok) return;
      html = await answer.text();
    } catch { return; } // the next change asks again
    if (mine !== version || !field()) return;
    const tpl = document.createElement('template');
    tpl.innerHTML = html;
    const fresh = tpl.content.firstElementChild, problem = fresh.querySelector('[data-problem]');
    if (problem && rows().length) { // what somebody is writing stays, with what is wrong
      document.querySelector('#argv [data-problem]')?.remove();
      el('argv').prepend(problem);
      return;
    }
    put(fresh);
    then?.();
  }

  // put shows a fresh list and keeps what somebody is writing in a row that is the same.
  function put(fresh) {
    const had = document.activeElement, old = rows(), inRow = had?.id && el('argv').contains(had);
    const [from, to, typed] = [had?.selectionStart, had?.selectionEnd, had?.value];
    el('argv').replaceWith(fresh);
    if (!inRow) return;
    const now = rows(), twin = el(had.id), i = Number(had.id.split('-').at(-1));
    if (had.tagName === 'INPUT' && twin && now.length === old.length && now[i]?.dataset.arg === old[i]?.dataset.arg) {
      twin.value = typed;
      twin.focus({ preventScroll: true });
      twin.setSelectionRange(from, to);
    } else twin?.focus({ preventScroll: true });
  }

  function soon() {
    version++;
    clearTimeout(timer);
    timer = setTimeout(show, 300);
  }

  document.addEventListener('input', (e) => {
    if (e.target.id === 'b-arguments') soon();
    else if (e.target.closest('#argv [data-arg]')) { write(); soon(); }
  });

  // The field that has the focus keeps it, whatever is done with its row.
  const focus = (...ids) => { ids.map(el).find((e) => e && !e.disabled)?.focus(); };
  const say = (what) => { el('hear').textContent = what; };

  function move(button) {
    const row = button.closest('[data-arg]'), all = rows(), i = all.indexOf(row), name = row.dataset.arg || 'The value';
    if (button.dataset.move === 'remove') {
      row.remove();
      write();
      show(() => { focus(`arg-remove-${i}`, `arg-remove-${i - 1}`, 'arg-new'); say(`${name} is taken out. Save to keep it so.`); });
      return;
    }
    const to = button.dataset.move === 'up' ? i - 1 : i + 1;
    if (!all[to]) return;
    all[to][to < i ? 'before' : 'after'](row);
    write();
    show(() => {
      focus(`arg-${button.dataset.move}-${to}`, `arg-${to < i ? 'down' : 'up'}-${to}`);
      say(`${name} is now number ${to + 1} of ${all.length}. Save to keep it so.`);
    });
  }

  function add() {
    const fresh = el('arg-new'), more = fresh.value.trim();
    if (!more) { fresh.focus(); return; }
    text().value = [text().value.trim(), more].filter(Boolean).join(' ');
    text().dispatchEvent(new Event('change', { bubbles: true }));
    show(() => {
      el('arg-new').value = '';
      focus(`arg-${rows().length - 1}`);
      say(`${more} is added. Save to keep it.`);
    });
  }

  function asText(button) {
    const on = field().classList.toggle('as-text');
    button.setAttribute('aria-pressed', String(on));
    button.textContent = on ? 'As a list' : 'As text';
    if (on) text().focus(); else show();
  }

  document.addEventListener('click', (e) => {
    const button = e.target.closest?.('#arguments-field button');
    if (!button) return;
    if (button.dataset.move) move(button);
    else if ('add' in button.dataset) add();
    else if ('asText' in button.dataset) asText(button);
  });

  // In a row, Enter takes the value; it does not send the form.
  document.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter') return;
    if (e.target.id === 'arg-new') { e.preventDefault(); add(); }
    else if (e.target.closest?.('#argv [data-arg] input')) { e.preventDefault(); show(); }
  });

  // What is not shown must not keep the form from saying what is wrong in it.
  const open = () => {
    const f = field();
    if (!f) return;
    f.querySelector('[data-as-text]').hidden = false;
    if (f.querySelector('.text .wrong') && !f.classList.contains('as-text')) asText(f.querySelector('[data-as-text]'));
  };
  document.addEventListener('htmx:afterSettle', open);
  open();
})();
