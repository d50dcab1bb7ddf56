// Configuration files of the Source engine: colours, completion, help and marks.
//
// The engine reads them like this. A command ends at a line break, always, and at a
// ';' outside quotes. A quote mark toggles "inside quotes"; nothing escapes it. "//"
// outside quotes makes the rest of the line a comment.

import { Compartment, StateEffect } from '@codemirror/state';
import { ViewPlugin, hoverTooltip, keymap } from '@codemirror/view';
import { StreamLanguage } from '@codemirror/language';
import { autocompletion } from '@codemirror/autocomplete';
import { linter, lintGutter } from '@codemirror/lint';
import { toggleComment } from '@codemirror/commands';

/* The vocabulary, fetched once. Until it is there, nothing is completed. */

let words = new Map(), options = [];

async function fetchWords(address) {
  if (!address || words.size) return words.size > 0;
  const answer = await fetch(address);
  if (!answer.ok) return false;
  const list = await answer.json();
  words = new Map(list.map((w) => [w.name, w]));
  options = list.map((w) => ({
    label: w.name, type: w.kind === 'command' ? 'function' : 'variable', detail: mark(w), info: describe(w),
  }));
  return true;
}

const marks = { cheat: 'cheat', hidden: 'hidden', sourcemod: 'SourceMod', metamod: 'Metamod', protected: 'secret' };
const mark = (w) => (w.flags || []).map((f) => marks[f] || f).join(', ');

const reasons = {
  cheat: 'Needs sv_cheats 1 or sm_cvar in front.',
  hidden: 'The game hides it: only sm_cvar, which is SourceMod’s, sets it.',
  sourcemod: 'Needs SourceMod.',
  metamod: 'Needs a Metamod plug-in.',
};
const describe = (w) => [
  `${w.help}.`, w.default && `Default ${w.default}.`, ...(w.flags || []).map((f) => reasons[f]),
].filter(Boolean).join(' ');

/* Reading. */

const wrappers = new Set(['sm_cvar', 'confogl_addcvar', 'help', 'sm_resetcvar']); // the next word is a name too

// commands splits a line as the engine does: the first word of each, and its extent.
export function commands(line) {
  const found = [];
  let quoted = false, start = 0;
  const end = (at) => {
    const text = line.slice(start, at);
    const name = /^[\s]*("?)([^\s"]*)/.exec(text);
    if (name[2]) found.push({ from: start, to: at, name: name[2], at: start + name[0].length - name[2].length, rest: text.slice(name[0].length).replace(/^"?\s*/, '').trimEnd() });
    start = at + 1;
  };
  for (let i = 0; i < line.length; i++) {
    if (line[i] === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (line[i] === ';') end(i);
    else if (line.startsWith('//', i)) { end(i); return { found, open: false, comment: true }; }
  }
  end(line.length);
  return { found, open: quoted, comment: false };
}

const language = () => StreamLanguage.define({
  name: 'cfg',
  startState: () => ({ first: true, quoted: false }),
  token(stream, state) {
    if (stream.sol()) Object.assign(state, { first: true, quoted: false });
    if (stream.eatSpace()) return null;
    if (state.quoted) {
      stream.skipTo('"') ? stream.next() && (state.quoted = false) : stream.skipToEnd();
      return 'string';
    }
    if (stream.match('//')) { stream.skipToEnd(); return 'comment'; }
    if (stream.eat(';')) { state.first = true; return 'punctuation'; }
    if (state.first) {
      const [, name] = stream.match(/^"?([^\s";]*)"?/);
      if (!name) { stream.next(); return null; }
      const word = words.get(name.toLowerCase());
      state.first = wrappers.has(name.toLowerCase());
      return !word ? 'variableName' : word.kind === 'command' ? 'keyword' : 'propertyName';
    }
    if (stream.eat('"')) { state.quoted = true; return 'string'; }
    if (stream.match(/^[+-]?(\d+\.?\d*|\.\d+)(?=[\s";]|$)/)) return 'number';
    stream.next(); // a word, or the one '/' that begins no comment
    stream.eatWhile(/[^\s";/]/);
    return null;
  },
  languageData: { commentTokens: { line: '//' } },
});

/* Completion and help. */

// named is the name that a position of a line belongs to.
function named(line, at) {
  for (const c of commands(line).found) {
    if (at < c.from || at > c.to) continue;
    if (at > c.at + c.name.length && wrappers.has(c.name.toLowerCase())) {
      const inner = /^[^\s";]*/.exec(c.rest)[0];
      if (inner) return { name: inner, at: line.indexOf(c.rest, c.at + c.name.length) };
    }
    return c;
  }
  return null;
}

function complete(context) {
  const line = context.state.doc.lineAt(context.pos);
  const before = line.text.slice(0, context.pos - line.from);
  const typed = /\w*$/.exec(before)[0], ahead = before.slice(0, before.length - typed.length);
  const { open, comment } = commands(ahead);
  const last = ahead.slice(ahead.lastIndexOf(';') + 1).trim().toLowerCase(); // of this command
  if (open || comment || last && !wrappers.has(last)) return null;
  if (!context.explicit && typed.length < 2) return null;
  return { from: context.pos - typed.length, options, validFor: /^\w*$/ };
}

// helpAt is one line about the command under the cursor.
export function helpAt(state, pos) {
  const line = state.doc.lineAt(pos);
  const found = named(line.text, pos - line.from);
  const word = found && words.get(found.name.toLowerCase());
  return word ? `${word.name}: ${describe(word)}` : '';
}

const hover = hoverTooltip((view, pos) => {
  const line = view.state.doc.lineAt(pos);
  const found = named(line.text, pos - line.from);
  const word = found && words.get(found.name.toLowerCase());
  const from = line.from + (found?.at ?? 0), end = from + (found?.name.length ?? 0);
  if (!word || pos < from || pos > end) return null;
  return { pos: from, end, above: true, create: () => {
    const dom = document.createElement('div');
    dom.className = 'about';
    dom.textContent = describe(word);
    return { dom };
  } };
});

/* Marks. */

const longest = 511; // of one command, in bytes; the engine ignores a longer one
const ours = { hostname: 'host name', rcon_password: 'RCON password' };
const shown = 500; // marks at most; a text with more has another problem

function check(view, notes) {
  const list = [], doc = view.state.doc, taken = new Set();
  const say = (line, from, to, severity, message) => {
    if (list.length >= shown) return;
    taken.add(line.number);
    list.push({ from: line.from + from, to: Math.max(line.from + from, Math.min(line.from + to, line.to)), severity, message });
  };
  for (let n = 1; n <= doc.lines && list.length < shown; n++) {
    const line = doc.line(n), text = line.text;
    const { found, open } = commands(text);
    if (open) say(line, text.lastIndexOf('"'), text.length, 'error', 'This quote mark is not closed: everything up to the end of the line belongs to it.');
    for (const c of found) {
      const length = new TextEncoder().encode(text.slice(c.at, c.to).trimEnd()).length;
      if (length > longest) say(line, c.from, c.to, 'error', `The game takes ${longest} characters for one command at most and ignores this one, which has ${length}.`);
      const [name, rest] = c.name.toLowerCase() === 'sm_cvar' ? c.rest.split(/\s+(.*)/, 2) : [c.name, c.rest];
      const set = ours[name.toLowerCase()];
      if (set && rest) say(line, c.at, c.to, 'warning', `Each server has its own ${set}, which comes last and wins: this has no effect.`);
      const odd = /[^\x20-\x7e\t]/u.exec(text.slice(c.from, c.to));
      if (odd && odd[0] !== '\0') say(line, c.from + odd.index, c.from + odd.index + odd[0].length, 'warning', 'The game may read this character wrongly: only plain ASCII is safe.');
    }
    const nul = text.indexOf('\0');
    if (nul >= 0) say(line, nul, nul + 1, 'error', 'A NUL character, which the game cannot read: take it out.');
  }
  for (const note of notes) {
    if (note.line > doc.lines || taken.has(note.line) || list.length >= shown) continue;
    const line = doc.line(note.line);
    list.push({ from: line.from, to: line.to, severity: 'warning', message: note.text });
  }
  return list;
}

// fromServer reads what the preview of the whole file says about lines of this text:
// in data-lines, or in words: "Line 3 of the config sets hostname …".
function fromServer() {
  const notes = [];
  for (const el of document.querySelectorAll('#cfg-preview .note')) {
    const text = el.textContent.trim();
    const lines = el.dataset.lines || /\bline (\d+) of the config\b/i.exec(text)?.[1];
    for (const n of lines?.match(/\d+/g) || []) if (+n > 0) notes.push({ line: +n, text });
  }
  return notes.slice(0, shown);
}

/* All of it. */

const fresh = StateEffect.define(); // the vocabulary, or what the server says, is there
const colours = new Compartment();

const arrivals = (area) => ViewPlugin.define((view) => {
  const heard = (e) => { if (e.detail.target?.id === 'cfg-preview') view.dispatch({ effects: fresh.of(null) }); };
  document.addEventListener('htmx:afterSwap', heard);
  fetchWords(area.dataset.words).then((there) => {
    if (there) view.dispatch({ effects: [fresh.of(null), colours.reconfigure(language())] });
  }, () => { /* without words it is an editor still */ });
  return { destroy: () => document.removeEventListener('htmx:afterSwap', heard) };
});

export function cfg(area) {
  return [
    colours.of(language()), hover, arrivals(area), keymap.of([{ key: 'Mod-/', run: toggleComment }]),
    autocompletion({ override: [complete], icons: false, maxRenderedOptions: 60 }),
    linter((view) => check(view, fromServer()), { delay: 250, needsRefresh: (u) => u.transactions.some((tr) => tr.effects.some((e) => e.is(fresh))) }),
    lintGutter(),
  ];
}
