package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// inside evaluates JavaScript with root, the inside of the page's first editor.
func inside(js string) string {
	return `((root) => ` + js + `)(document.querySelector('.editor').shadowRoot)`
}

// enter presses Enter as a keyboard does, in one event: chromedp's two put a line
// break into a text that has used the key for something else.
func (b *tab) enter() {
	b.t.Helper()
	b.do("press Enter", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		key := input.DispatchKeyEventParams{Type: "keyDown", Key: "Enter", Code: "Enter", Text: "\r", UnmodifiedText: "\r", WindowsVirtualKeyCode: 13}
		if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, key); err != nil {
			return err
		}
		key.Type, key.Text, key.UnmodifiedText = "keyUp", "", ""
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, key)
		return err
	}))
}

// TestBrowserEditor writes a config as a person does: with completion and help, with
// marks on what is wrong, by keyboard, and it is what is stored.
func TestBrowserEditor(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.up()
	s.signIn()
	id := s.makeBlueprint("Competitive", "sv_alltalk 1\n", "+map c1m1_hotel")
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)
	b.open("/blueprints/" + id)
	b.wait("the editor", `document.querySelector('.editor') && !document.getElementById('b-config').checkVisibility()`)
	b.wait("the vocabulary's colours", inside(`[...root.querySelectorAll('.cm-line span')].some((e) => e.textContent === 'sv_alltalk')`))

	b.click(fields, "server.cfg")
	b.do("go to the end", chromedp.KeyEvent(kb.End, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.typeText("z_diff")
	b.wait("completion of z_difficulty", inside(`root.querySelector('.cm-tooltip-autocomplete li[aria-selected]')?.textContent.includes('z_difficulty')`))
	b.wait("its help beside it", inside(`/Impossible/.test(root.querySelector('.cm-completionInfo')?.textContent)`))
	get[bool](b, `(document.querySelector(".editor").scrollIntoView({ block: "center" }), true)`)
	b.snap("blueprint-completion")
	b.wait("the list to take a key, which it does not in its first moments", `performance.now() - (window.listSeen ??= performance.now()) > 150`)
	b.enter()
	b.typeText(" Hard")
	b.wait("help in the foot", inside(`/Default Normal/.test(root.querySelector('.foot .word').textContent)`))

	for _, line := range []string{`hostname "mine`, "sv_contact grüße", "exec server"} {
		b.enter()
		b.typeText(line)
	}
	b.wait("marks at their lines", inside(`root.querySelectorAll('.cm-gutter-lint .cm-lint-marker').length === 3`)) // the host name's line has two
	b.wait("the quote mark's", inside(`root.querySelector('.cm-lint-marker-error')`))
	b.typeText(kb.Escape)
	b.do("go to the next mark", chromedp.KeyEvent(kb.F8))
	b.look("blueprint-editor-marks")

	want := "sv_alltalk 1\nz_difficulty Hard\nhostname \"mine\nsv_contact grüße\nexec server"
	if got := get[string](b, `document.getElementById('b-config').value`); got != want {
		t.Errorf("the field holds %q; want %q", got, want)
	}
	b.do("save by keyboard", chromedp.KeyEvent("s", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.sees("#blueprint-form .note", "Saved.")
	if raw := get[string](b, `document.getElementById('b-config').value`); raw != want {
		t.Errorf("after saving the field holds %q", raw)
	}
	b.wait("the focus to stay in the text", `document.activeElement.classList.contains('editor')`)
	b.do("undo over the save", chromedp.KeyEvent("z", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.wait("the undo to reach the field", `document.getElementById('b-config').value !== `+quote(want))

	b.typeText(kb.Tab)
	b.wait("Tab to stay in the text", `document.activeElement.classList.contains('editor')`)
	b.typeText(kb.Escape + kb.Tab)
	b.wait("Escape and Tab to leave it", `!document.activeElement.classList.contains('editor')`)

	// The script may come while somebody types in the plain field already.
	get[bool](b, `(() => {
  const area = Object.assign(document.createElement('textarea'), { id: 'late', value: 'sv_a' });
  area.dataset.editor = 'cfg';
  document.getElementById('main').append(area);
  area.focus();
  area.setSelectionRange(4, 4);
  document.dispatchEvent(new CustomEvent('htmx:afterSwap', { detail: {} }));
  return true;
})()`)
	b.typeText("lltalk 1")
	b.wait("typing to go on where it was", `document.getElementById('late').value === 'sv_alltalk 1'`)

	b.scripts(false)
	b.open("/blueprints/" + id)
	if got := get[string](b, `document.getElementById('b-config').checkVisibility() ? document.getElementById('b-config').value : ''`); strings.TrimSpace(got) != want {
		t.Errorf("without scripts the field shows %q; want %q", got, want)
	}
	b.scripts(true)
}
