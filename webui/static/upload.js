// Uploads of files overlays: dropped or chosen files go to the host in parts, several
// at a time, and go on where they were after a lost connection or a reload. Without
// this script the same form sends files in one go.
//
// A browser does not let a page open a file again by itself: what was cut off is
// remembered by name, size and time of its last change, and goes on when the same file
// is chosen again.

const panel = document.getElementById('upload');
const parallel = 3;
const rowsShown = 30;
const patience = 60000; // without a byte's progress

for (const el of document.querySelectorAll('[data-scripted]')) el.hidden = false;

/* What is remembered of uploads that are not complete. */

const memory = {
  name: 'left4me.uploads',
  read() {
    try {
      return JSON.parse(localStorage.getItem(this.name)) || {};
    } catch { return {}; } // a browser may forbid it
  },
  change(f) {
    const all = this.read();
    f(all);
    const month = Date.now() - 30 * 86400e3;
    for (const [k, v] of Object.entries(all)) if (!(v.at > month)) delete all[k];
    try {
      localStorage.setItem(this.name, JSON.stringify(all));
    } catch { /* full or forbidden: then nothing is remembered */ }
  },
  get(key) { return this.read()[key]?.id; },
  put(key, id) { this.change((all) => { all[key] = { id, at: Date.now() }; }); },
  forget(key) { this.change((all) => { delete all[key]; }); },
};

/* Sizes and times as people read them. */

function bytes(n) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let i = 0;
  for (; n >= 999.5 && i < units.length - 1; i++) n /= 1000;
  return `${i >= 3 && n < 99.95 ? n.toFixed(n < 9.995 ? 2 : 1) : Math.round(n)} ${units[i]}`;
}

function span(s) {
  if (s < 60) return `${Math.max(1, Math.round(s))} s`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s / 60) % 60)} min`;
}

function element(tag, name, text = '') {
  const el = document.createElement(tag);
  if (name) el.className = name;
  el.textContent = text;
  return el;
}

const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

// notWaiting takes an upload off the list of those that are not complete.
function notWaiting(id) {
  panel.querySelector(`[data-upload="${CSS.escape(id)}"]`)?.remove();
  const list = panel.querySelector('[data-waiting]');
  if (list && !list.querySelector('li')) list.remove();
}

class Refused extends Error {} // by the server, for good

/* One file. */

class Upload {
  constructor(file, name, dir, archives) {
    Object.assign(this, { file, name, dir, archives, received: 0, state: 'waiting', tries: 0 });
    this.key = [panel.dataset.uploads, dir, name, file.size, file.lastModified].join('\n');
  }

  async ask(path, options = {}) {
    const answer = await fetch(path, { credentials: 'same-origin', ...options });
    return this.hear(answer.status, answer.headers.get('Content-Type'), answer.redirected ? '' : await answer.text());
  }

  // hear turns an answer into a state, or throws.
  hear(status, kind, text) {
    if (status < 400 && !kind?.startsWith('application/json')) throw new Refused('You are signed out. Sign in again and choose the same file: it goes on where it was.');
    let state = {};
    try {
      state = JSON.parse(text);
    } catch { /* a proxy's own page */ }
    if (status < 400 || status === 409 && !state.again) return Object.assign(state, { conflict: status === 409 });
    if (status >= 500 && status !== 507 || status === 408 || state.again) throw new Error(state.error || 'The server did not answer.');
    throw Object.assign(new Refused(state.error || 'The server refused it.'), { status });
  }

  async begin() {
    const old = memory.get(this.key);
    if (old) {
      try {
        const state = await this.ask(`${panel.dataset.uploads}/${old}`);
        if (state.size === this.file.size) return this.take(state, old);
      } catch (e) {
        if (!(e instanceof Refused) || e.status !== 404) throw e;
      }
      memory.forget(this.key);
    }
    const body = new URLSearchParams({ name: this.name, size: this.file.size, dir: this.dir, archives: this.archives });
    const state = await this.ask(panel.dataset.uploads, { method: 'POST', body });
    memory.put(this.key, state.id);
    return this.take(state, state.id);
  }

  take(state, id = this.id) {
    this.id = id;
    notWaiting(id);
    this.received = state.received;
    this.sent = 0;
    this.done = state.done;
  }

  // A fetch does not tell how far a body has come: XMLHttpRequest does.
  chunk() {
    return new Promise((resolve, reject) => {
      const xhr = this.xhr = new XMLHttpRequest();
      const end = Math.min(this.received + Number(panel.dataset.chunk), this.file.size);
      let heard = Date.now();
      const watch = setInterval(() => { if (Date.now() - heard > patience) xhr.abort(); }, 1000);
      const over = (f) => { clearInterval(watch); this.xhr = null; f(); };
      xhr.upload.onprogress = (e) => {
        heard = Date.now();
        this.sent = Math.min(e.loaded, end - this.received);
        changed();
      };
      xhr.onload = () => over(() => {
        try {
          resolve(this.hear(xhr.status, xhr.getResponseHeader('Content-Type'), xhr.responseText));
        } catch (e) { reject(e); }
      });
      xhr.onerror = xhr.onabort = () => over(() => reject(this.state === 'cancelled' ? new Refused('Cancelled.') : new Error('The connection was lost.')));
      xhr.open('PUT', `${panel.dataset.uploads}/${this.id}?offset=${this.received}`);
      xhr.send(this.file.slice(this.received, end));
    });
  }

  async run() {
    this.state = 'running';
    this.began = Date.now();
    for (;;) {
      try {
        await this.begin();
        this.first ??= this.received;
        let stuck = 0;
        while (!this.done) {
          if (this.state === 'cancelled') throw new Refused('Cancelled.');
          const before = this.received;
          const state = await this.chunk();
          this.take(state);
          this.tries = 0;
          stuck = state.conflict && this.received === before ? stuck + 1 : 0;
          if (stuck > 5) throw new Refused('The host and this browser do not agree how far the file is. Cancel it and begin anew.');
          changed();
        }
        this.state = 'done';
        memory.forget(this.key);
        return;
      } catch (e) {
        if (this.state === 'cancelled') return;
        this.sent = 0;
        if (e instanceof Refused || (e.name === 'NotReadableError' || e.name === 'NotFoundError')) {
          this.state = 'failed';
          this.error = e instanceof Refused ? e.message : 'The file cannot be read any more. Was it moved or changed?';
          return;
        }
        this.error = `${e.message} Trying again…`;
        changed();
        await sleep(Math.min(15000, 500 * 2 ** this.tries++) * (0.7 + Math.random() * 0.6));
        this.error = '';
        if (this.state === 'cancelled') return;
      }
    }
  }

  async cancel() {
    const was = this.state;
    this.state = 'cancelled';
    this.xhr?.abort();
    memory.forget(this.key);
    changed();
    if (was === 'running' && this.id) {
      await fetch(`${panel.dataset.uploads}/${this.id}/cancel`, { method: 'POST', credentials: 'same-origin', redirect: 'manual' }).catch(() => {}); // it is collected after a week
    }
  }
}

/* The queue. */

let queue = [];
let running = 0;
let rate = 0;
let lastBytes = 0;
let lastLook = 0;

function add(files) {
  const dir = panel.dataset.dir, archives = document.getElementById('u-archives').value;
  if (queue.every((u) => u.state !== 'waiting' && u.state !== 'running')) { queue = queue.filter((u) => u.state === 'failed'); rate = lastBytes = lastLook = 0; }
  for (const [file, name] of files) {
    const u = new Upload(file, name, dir, archives);
    if (queue.some((q) => q.key === u.key && (q.state === 'waiting' || q.state === 'running'))) continue;
    if (file.size > Number(panel.dataset.largest)) Object.assign(u, { state: 'failed', error: `It has ${bytes(file.size)}; one file may have ${bytes(Number(panel.dataset.largest))} at most.` });
    queue.push(u);
  }
  pump();
  changed();
}

function pump() {
  while (running < parallel) {
    const next = queue.find((u) => u.state === 'waiting');
    if (!next) return;
    running++;
    next.run().finally(() => { running--; changed(); pump(); });
  }
}

let drawing = 0;
function changed() { drawing ||= setTimeout(() => { drawing = 0; draw(); }, 100); }

const counts = (u) => u.state !== 'cancelled' && u.state !== 'failed';

function measure(now) {
  const all = queue.filter(counts).reduce((n, u) => n + (u.state === 'done' ? u.file.size : u.received + (u.sent || 0)) - (u.first || 0), 0);
  if (!lastLook) [lastLook, lastBytes] = [now, all];
  const s = (now - lastLook) / 1000;
  if (s < 0.5) return;
  const fresh = Math.max(0, all - lastBytes) / s;
  rate = rate ? rate * 0.7 + fresh * 0.3 : fresh;
  [lastLook, lastBytes] = [now, all];
}

function draw() {
  const box = panel.querySelector('[data-progress]');
  measure(Date.now());
  const live = queue.filter(counts);
  const total = live.reduce((n, u) => n + u.file.size, 0);
  const here = live.reduce((n, u) => n + (u.state === 'done' ? u.file.size : u.received + (u.sent || 0)), 0);
  const done = live.filter((u) => u.state === 'done').length;
  const busy = live.length > done;
  const rows = [];
  if (live.length) {
    const left = rate > 0 && busy ? `, ${bytes(rate)}/s, about ${span((total - here) / rate)} left` : '';
    rows.push(element('p', 'small num', busy ? `${done} of ${live.length} ${live.length === 1 ? 'file' : 'files'}, ${bytes(here)} of ${bytes(total)}${left}` : `${live.length} ${live.length === 1 ? 'file is' : 'files are'} in the draft.`));
  }
  const shown = queue.filter((u) => u.state === 'running' || u.state === 'failed').slice(0, rowsShown);
  for (const u of shown) rows.push(row(u));
  const focus = document.activeElement?.dataset?.key;
  box.replaceChildren(...rows);
  if (focus) [...box.querySelectorAll('button')].find((b) => b.dataset.key === focus)?.focus();
  if (busy) changed.timer ||= setTimeout(() => { changed.timer = 0; changed(); }, 1000);
}

function row(u) {
  const line = element('div', `upload ${u.state}`);
  const here = u.received + (u.sent || 0);
  line.append(element('span', 'mono', u.name));
  if (u.state === 'failed') line.append(element('span', 'small wrong-soft', u.error));
  else {
    const bar = Object.assign(document.createElement('progress'), { max: Math.max(1, u.file.size), value: here });
    bar.setAttribute('aria-label', u.name);
    line.append(bar, element('span', 'dim small num', u.error || `${bytes(here)} of ${bytes(u.file.size)}`));
  }
  const button = element('button', 'btn quiet little', u.state === 'failed' ? 'Forget' : 'Cancel');
  button.type = 'button';
  button.dataset.key = u.key;
  button.append(element('span', 'hear', ` ${u.name}`));
  button.addEventListener('click', () => (u.state === 'failed' ? forget(u) : u.cancel()));
  line.append(button);
  return line;
}

function forget(u) {
  queue = queue.filter((q) => q !== u);
  changed();
}

/* Where files come from. */

// A folder that is dropped is read piece by piece: a browser gives at most a hundred
// entries at once.
async function walk(entry, at, into) {
  if (entry.isFile) {
    into.push([await new Promise((ok, no) => { entry.file(ok, no); }), at + entry.name]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((ok, no) => { reader.readEntries(ok, no); });
    if (!some.length) return;
    for (const e of some) await walk(e, `${at}${entry.name}/`, into);
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].filter((i) => i.kind === 'file').map((i) => i.webkitGetAsEntry?.());
  const loose = [...transfer.files];
  const files = [];
  if (entries.length && entries.every(Boolean)) {
    for (const e of entries) await walk(e, '', files);
  } else {
    for (const f of loose) files.push([f, f.name]);
  }
  add(files);
}

const carries = (e) => [...(e.dataTransfer?.types || [])].includes('Files');

if (panel) {
  const form = panel.querySelector('form');
  const input = document.getElementById('u-file');
  const folder = document.getElementById('u-folder');
  panel.querySelector('[data-plain]').hidden = true;
  input.required = false;
  input.addEventListener('change', () => { add([...input.files].map((f) => [f, f.name])); input.value = ''; });
  folder.addEventListener('change', () => { add([...folder.files].map((f) => [f, f.webkitRelativePath || f.name])); folder.value = ''; });
  form.addEventListener('submit', (e) => e.preventDefault());

  let depth = 0;
  const mark = (on) => document.body.classList.toggle('dropping', on);
  addEventListener('dragenter', (e) => { if (carries(e)) { depth++; mark(true); } });
  addEventListener('dragleave', (e) => { if (carries(e) && --depth <= 0) { depth = 0; mark(false); } });
  addEventListener('dragover', (e) => { if (carries(e)) { e.preventDefault(); e.dataTransfer.dropEffect = 'copy'; } });
  addEventListener('drop', (e) => {
    if (!carries(e)) return;
    e.preventDefault();
    depth = 0;
    mark(false);
    dropped(e.dataTransfer).catch(() => { document.getElementById('hear').textContent = 'What was dropped could not be read.'; });
  });
  addEventListener('beforeunload', (e) => { if (queue.some((u) => u.state === 'running' || u.state === 'waiting')) e.preventDefault(); });
}

/* The list of files is fetched anew when the draft bar shows another state of the
   overlay than the list's: the stream sends only the bar. */

let fetching = false;
async function refresh() {
  const bar = document.getElementById('draft-bar'), list = document.getElementById('files-tree');
  if (!bar || !list || fetching || bar.dataset.at === list.dataset.at) return;
  fetching = true;
  try {
    const answer = await fetch(location.href, { credentials: 'same-origin' });
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('files-tree');
    if (answer.ok && fresh && list.isConnected) list.replaceWith(document.adoptNode(fresh));
  } catch { /* the next change brings it */ }
  setTimeout(() => { fetching = false; refresh(); }, 700); // many files may arrive at once
}
document.addEventListener('left4me:swap', (e) => { if (e.detail === 'draft-bar') refresh(); });
