// The browser's side of left4me: one live stream per page, logs, relative times,
// copy buttons and dialogs. Every page works without it.
//
// What comes from strangers (log lines) only ever goes in as text. What comes as
// HTML was rendered by our own templates.

const maxLines = 5000; // rows of a log that stay in the page
const byID = (id) => document.getElementById(id);
const all = (q, root = document) => root.querySelectorAll(q);

/* Times. The server writes them in UTC; people read them in their own. */

const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const hour = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat([], { day: 'numeric', month: 'short' });

function span(s) {
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d`;
}

function showTime(el, now) {
  const at = new Date(el.dateTime);
  if (isNaN(at)) return;
  const d = el.dataset, s = Math.max(0, Math.round((now - at) / 1000));
  let text;
  if ('clock' in d) text = clock.format(at);
  else if (d.tick) text = (d.tick === 'month' ? day : hour).format(at);
  else if ('ago' in d) text = s < 5 ? 'just now' : `${span(s)} ago`;
  else if ('for' in d) text = `for ${span(s)}`;
  else text = at.toDateString() === new Date(now).toDateString() ? hour.format(at) : `${day.format(at)}, ${hour.format(at)}`;
  if (el.textContent !== text) el.textContent = text;
  if (!el.title) el.title = at.toLocaleString();
}

function showTimes(root) {
  const now = Date.now();
  for (const el of all('time[datetime]', root)) showTime(el, now);
}
setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  for (const el of all('time[data-ago], time[data-for]')) showTime(el, now);
}, 1000);

/* Fragments: an element is replaced by what the server rendered, and whoever had
   the focus in it gets it back. */

function focusKey(el) {
  return el.id || el.name || el.getAttribute('href') || el.dataset.copy || el.closest('form')?.getAttribute('action') || '';
}

function swap(id, html) {
  const old = byID(id);
  if (!old) return;
  const tpl = document.createElement('template');
  tpl.innerHTML = html;
  const fresh = tpl.content.firstElementChild;
  if (!fresh) return;
  showTimes(fresh);
  if (old.isEqualNode(fresh) || old.querySelector('.held')) return; // what somebody drags stays in their hand
  const had = document.activeElement;
  const key = had && old.contains(had) ? focusKey(had) : '';
  const scrolls = [...all('[data-keep-scroll], .scroll, .argv', old)].map((e) => [e.scrollLeft, e.scrollTop]);
  const opened = [...all('details', old)].map((d) => d.open);
  const typed = [...all('input[id], textarea[id]', old)].filter((e) => e.value !== e.defaultValue);
  old.replaceWith(fresh);
  for (const e of typed) { // what somebody is just writing stays
    const twin = fresh.querySelector(`#${CSS.escape(e.id)}`);
    if (twin && twin.type === e.type && twin.type !== 'hidden') twin.value = e.value;
  }
  all('details', fresh).forEach((d, i) => { d.open = opened[i] ?? d.open; });
  all('[data-keep-scroll], .scroll, .argv', fresh).forEach((e, i) => { if (scrolls[i]) [e.scrollLeft, e.scrollTop] = scrolls[i]; });
  if (key) [...all('a, button, input, select, textarea, summary', fresh)].find((e) => focusKey(e) === key)?.focus({ preventScroll: true });
  window.htmx?.process(fresh);
  document.dispatchEvent(new CustomEvent('left4me:swap', { detail: id }));
}

/* Logs. */

class Log {
  constructor(el) {
    this.el = el;
    this.feed = el.dataset.log;
    this.cursor = el.dataset.cursor;
    this.last = Number(el.lastElementChild?.querySelector('.n')?.textContent || 0);
    this.held = null; // lines that came while paused
    const target = el.querySelector(':target'); // the line that the address names
    this.follows = !target; // until the reader scrolls up
    this.chip = document.querySelector(`[data-live="${CSS.escape(this.feed)}"]`);
    this.button = document.querySelector(`[data-pause="${CSS.escape(this.feed)}"]`);
    if (this.button) {
      this.button.hidden = false;
      this.button.addEventListener('click', () => this.pause(!this.held));
    }
    if (target) target.scrollIntoView({ block: 'center' }); else this.end();
    this.top = el.scrollTop;
    el.addEventListener('scroll', () => { this.follows = this.atEnd(); }, { passive: true });
    new ResizeObserver(() => { if (this.follows) this.end(); }).observe(el); // a turned phone breaks lines elsewhere
  }

  atEnd() { return this.el.scrollHeight - this.el.scrollTop - this.el.clientHeight < 40; }
  end() { this.el.scrollTop = this.el.scrollHeight; this.top = this.el.scrollTop; }

  // The scroll event comes a frame late: lines that come sooner must not pull a
  // reader back who has just scrolled up.
  look() { if (this.el.scrollTop < this.top - 1) this.follows = this.atEnd(); }

  state(text, tone) {
    if (!this.chip || this.chip.dataset.ended) return;
    this.chip.hidden = false;
    this.chip.textContent = text;
    this.chip.className = `chip ${tone}`;
  }

  pause(on) {
    const lines = this.held;
    this.held = on ? [] : null;
    this.button.textContent = on ? 'Go on' : 'Pause';
    this.button.setAttribute('aria-pressed', String(on));
    this.state(on ? 'paused' : 'live', on ? 'busy' : 'ok');
    if (!on && lines) { this.put(lines); this.end(); }
  }

  add(lines) {
    lines = lines.filter(([n]) => n > this.last);
    if (!lines.length) return;
    this.last = lines[lines.length - 1][0];
    if (this.held) {
      this.held.push(...lines);
      if (this.held.length > maxLines) this.held.splice(0, this.held.length - maxLines);
      this.state(`paused, ${this.held.length} waiting`, 'busy');
      return;
    }
    this.look();
    this.put(lines);
    if (this.follows) this.end();
  }

  put(lines) {
    const rows = document.createDocumentFragment();
    for (const [n, ms, stream, text] of lines.slice(-maxLines)) {
      const at = new Date(ms);
      const number = Object.assign(cell('a', 'n', n), { href: `#L${n}`, tabIndex: -1 });
      const line = row(stream, number, Object.assign(cell('time', 't', clock.format(at)), { dateTime: at.toISOString() }), cell('span', 'x', text));
      line.id = `L${n}`;
      rows.append(line);
    }
    this.el.append(rows);
    for (let over = this.el.childElementCount - maxLines; over > 0; over--) this.el.firstElementChild.remove();
  }

  say(text) {
    this.look();
    this.el.append(row('cut', cell('span', 'n', ''), cell('span', 't', ''), cell('span', 'x', text)));
    if (this.follows) this.end();
  }

  finish() {
    if (this.held) this.pause(false);
    this.state('ended', '');
    if (this.chip) this.chip.dataset.ended = '1';
    if (this.button) this.button.hidden = true;
  }
}

function cell(tag, name, text) {
  const el = document.createElement(tag);
  el.className = name;
  el.textContent = text;
  return el;
}

function row(name, ...cells) {
  const el = document.createElement('div');
  el.className = name;
  el.append(...cells);
  return el;
}

/* The stream. A browser's own reconnecting stops for good after an error page
   and knows nothing of hidden tabs, so we open and close it ourselves and keep
   the cursors. */

class Stream {
  constructor(feeds) {
    this.feeds = feeds;
    this.logs = new Map([...all('[data-log]:not([data-ended])')].map((el) => [el.dataset.log, new Log(el)]));
    this.cursors = new Map([...this.logs].filter(([, l]) => l.cursor).map(([f, l]) => [f, l.cursor]));
    this.tries = 0;
    document.addEventListener('visibilitychange', () => (document.hidden ? this.pauseSoon() : this.resume()));
    addEventListener('pagehide', () => this.close());
    addEventListener('pageshow', (e) => { if (e.persisted) this.resume(); });
    addEventListener('online', () => this.resume());
    if (!document.hidden) this.open();
  }

  address() {
    const seen = this.opened ? [] : [document.body.dataset.seen].filter(Boolean); // it stands for the page as it came
    const after = [...seen, ...[...this.cursors].map(([f, at]) => `${f}=${at}`)].join(';');
    return `/events?topics=${encodeURIComponent(this.feeds)}${after ? `&after=${encodeURIComponent(after)}` : ''}`;
  }

  open() {
    this.close();
    const es = new EventSource(this.address());
    this.es = es;
    es.onopen = () => {
      this.opened = true;
      this.tries = 0;
      clearTimeout(this.warn);
      byID('offline').hidden = true;
      for (const l of this.logs.values()) if (!l.held) l.state('live', 'ok');
    };
    es.onerror = () => {
      es.close(); // ours is the only reconnecting
      if (this.es === es) this.again();
    };
    const on = (name, f) => es.addEventListener(name, (e) => { this.remember(e.lastEventId); f(JSON.parse(e.data)); });
    on('html', (d) => swap(d.id, d.html));
    on('log', (d) => this.logs.get(d.topic)?.add(d.lines));
    on('missed', (d) => this.logs.get(d.topic)?.say(`${d.count} lines were passed over because this page was too far behind.`));
    on('reset', (d) => { const l = this.logs.get(d.topic); if (l) { l.last = 0; l.say('The log was begun anew.'); } });
    on('finished', (d) => this.logs.get(d.topic)?.finish());
    on('gone', (d) => { this.stop(); location.assign(d.to); });
    on('bye', () => { this.stop(); location.reload(); });
  }

  remember(id) {
    for (const part of (id || '').split(';')) {
      const i = part.indexOf('=');
      if (i > 0) this.cursors.set(part.slice(0, i), part.slice(i + 1));
    }
  }

  again() {
    this.es = null;
    for (const l of this.logs.values()) l.state('reconnecting', 'busy');
    clearTimeout(this.warn);
    if (this.tries > 0) byID('offline').hidden = document.hidden;
    else this.warn = setTimeout(() => { byID('offline').hidden = false; }, 1500);
    if (this.tries % 4 === 1) this.lookAround();
    const wait = Math.min(15000, 300 * 2 ** this.tries++) * (0.7 + Math.random() * 0.6);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { if (!document.hidden && !this.over) this.open(); }, wait);
  }

  // An EventSource does not say why it failed. When this page itself is not to be
  // had any more (signed out, deleted), loading it again says what is the matter.
  async lookAround() {
    try {
      const page = await fetch(location.href, { credentials: 'same-origin' });
      if (page.redirected || page.status === 404) { this.stop(); location.reload(); }
    } catch { /* the server is away: that is what we are waiting for */ }
  }

  // A glance at another tab should not cost a new connection.
  pauseSoon() {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => { if (document.hidden) this.close(); }, 4000);
  }

  resume() {
    clearTimeout(this.idle);
    if (this.es || this.over) return;
    clearTimeout(this.timer);
    this.tries = 0;
    this.open();
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.warn);
    this.es?.close();
    this.es = null;
  }

  stop() { this.over = true; this.close(); }
}

/* Dialogs: what destroys something asks first, and names it. */

const dialog = byID('confirm');
let asking = null;

document.addEventListener('submit', (e) => {
  const form = e.target;
  if (!dialog || !form.dataset.confirm || form.dataset.sure) return;
  e.preventDefault();
  e.stopImmediatePropagation();
  asking = form;
  byID('confirm-title').textContent = form.dataset.confirm;
  byID('confirm-text').textContent = form.dataset.confirmText || '';
  dialog.querySelector('[value=yes]').textContent = form.dataset.confirmYes || 'Yes';
  dialog.showModal();
  dialog.querySelector('[value=no]').focus();
}, true);

dialog?.addEventListener('click', (e) => {
  const answer = e.target.closest('button')?.value;
  if (e.target === dialog || answer) dialog.close();
  if (answer !== 'yes' || !asking) return;
  // The stream may have put a fresh copy of the form in its place meanwhile.
  const form = asking.isConnected ? asking : document.querySelector(`form[action="${CSS.escape(asking.getAttribute('action'))}"]`);
  asking = null;
  if (!form) return;
  const sure = Object.assign(document.createElement('input'), { type: 'hidden', name: 'sure', value: 'yes' });
  form.append(sure);
  form.dataset.sure = '1';
  form.requestSubmit();
  delete form.dataset.sure;
});

/* Small things. */

document.addEventListener('click', async (e) => {
  const copy = e.target.closest('[data-copy]');
  if (copy) {
    const ok = await toClipboard(copy.dataset.copy);
    byID('hear').textContent = ok ? 'Copied.' : 'Copying did not work.';
    copy.classList.toggle('done', ok);
    copy.title = ok ? 'Copied' : 'Copying did not work';
    setTimeout(() => { copy.classList.remove('done'); copy.title = 'Copy'; }, 1500);
  }
  e.target.closest('[data-close]')?.closest('.toast')?.remove();
});

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // plain http has no clipboard
    const area = Object.assign(document.createElement('textarea'), { value: text, className: 'hear' });
    document.body.append(area);
    area.select();
    const ok = document.execCommand('copy');
    area.remove();
    return ok;
  }
}

// A page that swapped a fragment by itself shows times in the reader's own, too.
document.addEventListener('htmx:afterSwap', (e) => showTimes(e.detail.target?.parentElement || document));
// A button that took itself away leaves the focus on what it was in.
document.addEventListener('htmx:afterSettle', (e) => {
  const fresh = byID(e.detail.target?.id || e.detail.elt?.id);
  if (document.activeElement === document.body && fresh?.getAttribute('tabindex') === '-1') fresh.focus({ preventScroll: true });
});
document.addEventListener('htmx:sendError', () => {
  const note = row('note toast bad', cell('div', '', 'The server could not be reached, so nothing was done. Try again in a moment.'));
  note.setAttribute('role', 'alert');
  byID('toasts')?.append(note);
  setTimeout(() => note.remove(), 8000);
});
new MutationObserver((changes) => {
  for (const c of changes) for (const n of c.addedNodes) if (n.nodeType === 1) setTimeout(() => n.remove(), 12000);
}).observe(byID('toasts') || document.createElement('div'), { childList: true });

setTimeout(() => document.querySelector('[data-flash]')?.remove(), 10000);
// The current tab is in sight where there is no room for all.
for (const tab of document.querySelectorAll('.tabs [aria-current]')) {
  const bar = tab.parentElement;
  bar.scrollLeft = tab.offsetLeft - bar.offsetLeft - (bar.clientWidth - tab.offsetWidth) / 2;
}
showTimes(document);
if (document.body.dataset.feeds && 'EventSource' in window) window.left4me = new Stream(document.body.dataset.feeds);
