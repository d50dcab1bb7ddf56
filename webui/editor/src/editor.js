// The text editor of blueprints, scripts and files. It takes the place of a
// <textarea data-editor="cfg|shell|text"> and keeps its value in step, so that the
// form, htmx and a browser without scripts see a plain field.
//
// It lives in a shadow root: there its styles are constructed sheets, which the
// page's policy allows, and the page's own cannot reach in.

import { EditorState, Compartment } from '@codemirror/state';
import {
  EditorView, keymap, lineNumbers, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars,
  drawSelection, dropCursor, placeholder, showPanel,
} from '@codemirror/view';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { StreamLanguage, bracketMatching, indentUnit } from '@codemirror/language';
import { search, searchKeymap, highlightSelectionMatches } from '@codemirror/search';
import { completionKeymap, acceptCompletion, closeBrackets, closeBracketsKeymap } from '@codemirror/autocomplete';
import { lintKeymap } from '@codemirror/lint';
import { shell } from '@codemirror/legacy-modes/mode/shell';
import { cfg, helpAt } from './cfg.js';
import { look } from './look.js';

const modes = {
  cfg: { extensions: cfg, keys: 'Ctrl+Space completes · F8 next mark' },
  shell: { extensions: () => [StreamLanguage.define(shell), closeBrackets(), keymap.of(closeBracketsKeymap)], keys: 'Ctrl+F finds' },
  text: { extensions: () => [], keys: 'Ctrl+F finds' },
};

/* One editor. It outlives its textarea: a form that was saved comes back as a fresh
   copy, and the one who writes keeps the place, the undo history and the focus. */

class Editor {
  constructor(area) {
    this.area = area;
    this.host = document.createElement('div');
    this.host.className = 'editor';
    this.labels = new Compartment();
    const mode = modes[area.dataset.editor] || modes.text;
    const root = this.host.attachShadow({ mode: 'open' });
    this.view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: area.value,
        // Somebody may have begun to type before this script was there.
        ...(document.activeElement === area && { selection: { anchor: area.selectionStart, head: area.selectionEnd } }),
        extensions: [
          lineNumbers(), highlightActiveLineGutter(), highlightActiveLine(), highlightSpecialChars(), history(), drawSelection(), dropCursor(),
          bracketMatching(), indentUnit.of('  '), EditorState.tabSize.of(4), search({ top: true }), highlightSelectionMatches(),
          EditorState.readOnly.of(area.readOnly), placeholder(area.placeholder), look,
          mode.extensions(area),
          keymap.of([
            { key: 'Mod-s', run: () => this.save() },
            { key: 'Tab', run: acceptCompletion }, indentWithTab,
            ...completionKeymap, ...lintKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap,
          ]),
          this.labels.of([]),
          showPanel.of((view) => foot(view, mode.keys, area.readOnly)),
          EditorView.updateListener.of((u) => { if (u.docChanged) this.tell(); }),
        ],
      }),
    });
    this.sit();
  }

  // sit takes the place of the textarea without moving what is below it.
  sit() {
    const { area, host, view } = this;
    const height = area.offsetHeight, focused = document.activeElement === area;
    area.after(host);
    if (!host.style.height && height) host.style.height = `${height}px`;
    area.hidden = true;
    const label = area.labels[0];
    host.dataset.label = label?.textContent.trim() || '';
    label?.addEventListener('click', () => view.focus());
    const described = (area.getAttribute('aria-describedby') || '').split(' ').map((id) => document.getElementById(id)?.textContent.trim()).filter(Boolean);
    view.dispatch({
      effects: this.labels.reconfigure(EditorView.contentAttributes.of({
        'aria-label': host.dataset.label,
        'aria-describedby': 'keys',
        ...(described.length && { 'aria-description': described.join(' ').slice(0, 600) }),
        ...(area.getAttribute('aria-invalid') === 'true' && { 'aria-invalid': 'true' }),
        ...(area.readOnly && { 'aria-readonly': 'true' }),
        spellcheck: 'false', autocapitalize: 'off', autocorrect: 'off',
      })),
    });
    if (focused) view.focus();
  }

  // move goes over to the fresh copy of the textarea.
  move(area, { scroll, focused }) {
    this.area = area;
    this.sit();
    if (area.value !== this.text()) this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: area.value } });
    this.view.scrollDOM.scrollTop = scroll;
    if (focused) this.view.focus();
  }

  text() { return this.view.state.doc.toString(); }

  tell() {
    this.area.value = this.text();
    this.area.dispatchEvent(new Event('input', { bubbles: true }));
  }

  // save sends the form as its plainest button does.
  save() {
    const form = this.area.form;
    const button = form?.querySelector('button[value=save]') || form?.querySelector('button[type=submit]');
    if (button && !this.area.readOnly) form.requestSubmit(button);
    return true;
  }
}

// foot is the line below the text: what stands under the cursor, and how to get out.
function foot(view, keys, readOnly) {
  const dom = document.createElement('div');
  dom.className = 'foot';
  const help = dom.appendChild(document.createElement('p'));
  help.className = 'word';
  const out = dom.appendChild(document.createElement('p'));
  out.id = 'keys';
  out.textContent = `Esc, then Tab leaves${readOnly ? '' : ` · ${navigator.platform.startsWith('Mac') ? 'Cmd' : 'Ctrl'}+S saves`} · ${keys}`;
  const show = (state) => { help.textContent = helpAt(state, state.selection.main.head); };
  show(view.state);
  return { dom, update: (u) => { if (u.docChanged || u.selectionSet || u.transactions.length) show(u.state); } };
}

/* Which editors there are, by the id of their textarea. */

const editors = new Map();
let places = new Map(); // where each was when its form was taken away

function mount() {
  for (const area of document.querySelectorAll('textarea[data-editor]')) {
    const there = editors.get(area.id);
    if (there?.area === area) continue;
    if (there && places.has(area.id)) there.move(area, places.get(area.id));
    else editors.set(area.id, new Editor(area));
  }
}

document.addEventListener('htmx:beforeSwap', () => {
  places = new Map([...editors].filter(([, e]) => e.area.isConnected).map(([id, e]) => [id, {
    scroll: e.view.scrollDOM.scrollTop, focused: document.activeElement === e.host,
  }]));
});
document.addEventListener('htmx:afterSwap', mount);
mount();
