// The tools of a log: search in the lines that are on the page, a switch for long
// lines, and numbers that lead to a line. Without this, the search leads to the
// whole log, which the server searches. Lines are strangers' text: they are marked
// by highlights and classes, never written as HTML.

const canHighlight = 'highlights' in CSS;

class Tools {
  constructor(box) {
    this.box = box;
    this.log = box.querySelector('.log');
    this.wrapButton = box.querySelector('[data-wrap]');
    if (this.log && this.wrapButton) this.wrapSwitch();
    this.form = box.querySelector('[data-find]');
    if (this.log && this.form) this.search();
    this.arrive();
    addEventListener('hashchange', () => this.arrive());
  }

  // Long lines are broken, or scroll sideways; the choice is kept in this browser.
  wrapSwitch() {
    const show = (on) => {
      this.log.classList.toggle('long', !on);
      this.wrapButton.setAttribute('aria-pressed', String(on));
    };
    this.wrapButton.hidden = false;
    show(localStorage.getItem('log-wrap') !== 'off');
    this.wrapButton.addEventListener('click', () => {
      const on = this.wrapButton.getAttribute('aria-pressed') !== 'true';
      localStorage.setItem('log-wrap', on ? 'on' : 'off');
      show(on);
    });
  }

  search() {
    this.input = this.form.elements.q;
    this.found = this.form.querySelector('[data-found]');
    this.steps = this.form.querySelector('[data-steps]');
    this.hits = [];
    this.at = -1;
    if (canHighlight) CSS.highlights.set('found', (this.marks = new Highlight()));
    let timer;
    this.input.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.find(), 120);
    });
    this.input.addEventListener('keydown', (e) => {
      if (e.key === 'Escape' && this.input.value) { this.input.value = ''; this.find(); e.preventDefault(); }
      if (e.key !== 'Enter' || !this.input.value) return; // an empty search opens the whole log
      e.preventDefault();
      clearTimeout(timer);
      if (this.input.value.toLowerCase() !== this.sought) this.find(); else this.step(e.shiftKey ? -1 : 1);
    });
    for (const b of this.form.querySelectorAll('[data-step]')) b.addEventListener('click', () => this.step(Number(b.dataset.step)));
    new MutationObserver((changes) => this.sought && this.changed(changes)).observe(this.log, { childList: true });
    if (this.input.value) this.find();
  }

  // find looks through every line that is there and goes to the newest match.
  find() {
    for (const row of this.hits) row.classList.remove('hit', 'at');
    this.marks?.clear();
    this.hits = [];
    this.sought = this.input.value.toLowerCase();
    if (this.sought) for (const row of this.log.children) this.look(row);
    this.at = this.hits.length - 1;
    this.go();
  }

  look(row) {
    const cell = row.querySelector('.x'), node = cell?.firstChild;
    if (!node || node.nodeType !== Node.TEXT_NODE) return;
    const text = node.data.toLowerCase();
    if (!text.includes(this.sought)) return;
    row.classList.add('hit');
    this.hits.push(row);
    if (!this.marks || text.length !== node.data.length) return; // the line is marked as a whole
    for (let i = text.indexOf(this.sought); i >= 0; i = text.indexOf(this.sought, i + this.sought.length)) {
      const range = new StaticRange({ startContainer: node, startOffset: i, endContainer: node, endOffset: i + this.sought.length });
      this.marks.add(range);
    }
  }

  // Lines come and, in a long log, the oldest go.
  changed(changes) {
    for (const c of changes) for (const row of c.addedNodes) if (row.nodeType === 1) this.look(row);
    const now = this.hits[this.at];
    this.hits = this.hits.filter((row) => row.isConnected);
    this.at = now?.isConnected ? this.hits.indexOf(now) : Math.min(this.at, this.hits.length - 1);
    this.say();
  }

  step(by) {
    if (!this.hits.length) return;
    this.at = (this.at + by + this.hits.length) % this.hits.length;
    this.go();
  }

  go() {
    this.log.querySelector('.at')?.classList.remove('at');
    const row = this.hits[this.at];
    row?.classList.add('at');
    row?.scrollIntoView({ block: 'nearest' });
    this.say();
  }

  say() {
    this.steps.hidden = this.hits.length < 1;
    this.found.textContent = !this.sought ? '' : this.hits.length ? `${this.at + 1} of ${this.hits.length} lines` : 'Not in the lines below';
  }

  // A link to a line that is not on this page leads into the whole log.
  arrive() {
    const n = /^#L([1-9]\d{0,15})$/.exec(location.hash)?.[1];
    const path = this.box.dataset.logbox;
    if (!n || !this.log || document.getElementById(`L${n}`) || location.search.includes(`line=${n}`)) return;
    const first = Number(this.log.querySelector('.n')?.textContent || 0);
    if (Number(n) < first || location.pathname === path) location.replace(`${path}?line=${n}#L${n}`);
  }
}

for (const box of document.querySelectorAll('[data-logbox]')) new Tools(box);
