// How the editor looks: the page's own tokens, which reach into a shadow root, by
// day and by night alike.

import { EditorView } from '@codemirror/view';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { tags } from '@lezer/highlight';

const field = {
  font: 'inherit', color: 'inherit', background: 'var(--bg)', border: '1px solid var(--line-strong)', borderRadius: '6px', padding: '3px 8px', backgroundImage: 'none',
};

const theme = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', color: 'var(--text)', backgroundColor: 'transparent' },
  '&.cm-focused': { outline: 'none' }, // the page draws it around the whole field
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55' },
  '.cm-content': { caretColor: 'var(--text)', padding: '6px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)', borderLeftWidth: '2px' },
  '.cm-placeholder': { color: 'var(--dim)' },
  '.cm-gutters': { color: 'var(--dim)', backgroundColor: 'var(--sunken)', border: 'none', borderRight: '1px solid var(--line)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--line) 40%, transparent)' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': { background: 'color-mix(in srgb, var(--info) 32%, transparent)' },
  '.cm-selectionMatch': { backgroundColor: 'var(--info-soft)' },
  '.cm-searchMatch': { backgroundColor: 'var(--busy-soft)', outline: '1px solid var(--busy)' },
  '.cm-searchMatch-selected': { backgroundColor: 'color-mix(in srgb, var(--busy) 40%, transparent)' },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--accent-soft)', outline: '1px solid var(--accent)' },
  '&.cm-focused .cm-nonmatchingBracket': { backgroundColor: 'var(--bad-soft)' },
  '.cm-panels': { color: 'var(--text)', backgroundColor: 'var(--sunken)', fontFamily: 'var(--sans)', fontSize: '13px' },
  '.cm-panels-top': { borderBottom: '1px solid var(--line)' },
  '.cm-panels-bottom': { borderTop: '1px solid var(--line)' },
  '.cm-panel.cm-search': { padding: '8px 34px 8px 10px', display: 'flex', flexWrap: 'wrap', gap: '6px', alignItems: 'center' },
  '.cm-panel.cm-search br': { display: 'none' },
  '.cm-panel.cm-search :is(input, button, label)': { margin: '0' },
  '.cm-panel.cm-search label': { fontSize: '13px', display: 'inline-flex', gap: '4px', alignItems: 'center' },
  '.cm-textfield': { ...field, minWidth: '0', flex: '0 1 170px' },
  '.cm-button': { ...field, background: 'var(--panel)', cursor: 'pointer' },
  '.cm-button:hover': { borderColor: 'var(--text)' },
  '.cm-panel.cm-search [name=close]': { color: 'var(--text)', fontSize: '18px', width: '28px', height: '28px', cursor: 'pointer' },
  ':is(input, button):focus-visible': { outline: '2px solid var(--accent)', outlineOffset: '1px' },
  '.foot': { display: 'flex', flexWrap: 'wrap', gap: '2px 14px', padding: '4px 10px', fontSize: '12.5px', color: 'var(--dim)' },
  '.foot p': { margin: '0' },
  '.foot .word:empty': { display: 'none' },
  '.foot .word': { color: 'var(--text)', flex: '1 1 100%' },
  '.cm-tooltip': { color: 'var(--text)', backgroundColor: 'var(--raised)', border: '1px solid var(--line-strong)', borderRadius: '8px', boxShadow: 'var(--shadow)', fontFamily: 'var(--sans)', fontSize: '13px' },
  '.cm-tooltip .about': { padding: '6px 10px', maxWidth: '46ch' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', fontSize: '12.5px', maxHeight: '15em', borderRadius: '7px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 10px', lineHeight: '1.4' },
  '.cm-tooltip-autocomplete ul li[aria-selected], .cm-tooltip-autocomplete-disabled ul li[aria-selected]': { background: 'var(--accent)', color: 'var(--accent-ink)' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-completionDetail': { fontStyle: 'normal', fontFamily: 'var(--sans)', color: 'var(--dim)' },
  'li[aria-selected] .cm-completionDetail': { color: 'inherit' },
  '.cm-tooltip.cm-completionInfo': { padding: '7px 10px', maxWidth: '44ch', whiteSpace: 'normal' },
  '.cm-diagnostic': { padding: '6px 10px', maxWidth: '52ch', whiteSpace: 'normal' },
  '.cm-diagnostic-error': { borderLeft: '4px solid var(--bad)' },
  '.cm-diagnostic-warning': { borderLeft: '4px solid var(--busy)' },
  '.cm-lintRange': { backgroundImage: 'none', paddingBottom: '0', textDecorationLine: 'underline', textDecorationThickness: '2px', textUnderlineOffset: '3px', textDecorationSkipInk: 'none' },
  '.cm-lintRange-error': { textDecorationStyle: 'wavy', textDecorationColor: 'var(--bad)' },
  '.cm-lintRange-warning': { textDecorationStyle: 'dashed', textDecorationColor: 'var(--busy)' },
  '.cm-lintRange-active': { backgroundColor: 'var(--busy-soft)' },
  // A shape and a colour: a square on its corner for an error, a triangle for a warning.
  '.cm-gutter-lint .cm-lint-marker': { content: 'normal', width: '10px', height: '10px', margin: '4px auto' },
  '.cm-lint-marker-error': { background: 'var(--bad)', transform: 'rotate(45deg) scale(.8)' },
  '.cm-lint-marker-warning': { background: 'var(--busy)', clipPath: 'polygon(50% 0, 100% 100%, 0 100%)' },
  '@media (max-width: 760px)': {
    '&': { fontSize: '14px' },
    '.cm-tooltip.cm-completionInfo': { display: 'none' }, // no room beside the list; the foot has it
  },
});

const colours = HighlightStyle.define([
  { tag: tags.comment, color: 'var(--dim)', fontStyle: 'italic' },
  { tag: [tags.keyword, tags.controlKeyword, tags.definitionKeyword], color: 'var(--info)', fontWeight: '600' },
  { tag: [tags.propertyName, tags.standard(tags.variableName), tags.special(tags.variableName)], color: 'var(--accent)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--busy)' },
  { tag: tags.number, color: 'var(--busy)' },
  { tag: [tags.attributeName, tags.operator, tags.punctuation, tags.meta], color: 'var(--dim)' },
]);

export const look = [theme, syntaxHighlighting(colours)];
