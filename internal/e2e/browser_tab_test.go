package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"left4me/internal/testenv"
)

// patience is how long a person looks at a page that does not change.
const patience = 30 * time.Second

// tab is a window of the browser in which a person works: what is pressed and
// filled in is found by what is written on it, and has to be visible, enabled
// and not covered.
type tab struct {
	t    testing.TB
	ctx  context.Context
	base string

	mu       sync.Mutex
	problems []string
}

// chromium is the browser's path. Without one the test is skipped, or fails in
// CI.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("Chromium is needed and missing; `make deps` installs it")
	}
	t.Skip("skipped: Chromium is missing; `make deps` installs it")
	return ""
}

// newBrowser starts Chromium with an empty profile and returns its first
// window. Start it after the site: it is then closed before the site goes, and
// has no lost connection to complain about.
func newBrowser(t testing.TB, path, base string) *tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
		chromedp.WindowSize(wide.width, wide.height))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // it refuses to run as root otherwise
	}
	all, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	return openTab(t, all, base)
}

// stranger is a window that shares nothing with this one: no cookies.
func (b *tab) stranger(t testing.TB) *tab {
	t.Helper()
	return openTab(t, b.ctx, b.base, chromedp.WithNewBrowserContext())
}

// second is another window of the same person.
func (b *tab) second() *tab {
	b.t.Helper()
	return openTab(b.t, b.ctx, b.base, chromedp.WithNewWindow(true))
}

func openTab(t testing.TB, parent context.Context, base string, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t, base: base}
	ctx, stop := chromedp.NewContext(parent, append(opts, chromedp.WithListener(b.hear))...)
	b.ctx = ctx
	t.Cleanup(func() {
		b.quiet()
		stop()
	})
	_, err1 := chromedp.Call(ctx, runtime.AddBinding, runtime.AddBindingParams{Name: "e2eViolation"})
	_, err2 := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `addEventListener('securitypolicyviolation', (e) => e2eViolation(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));`,
	})
	if err1 != nil || err2 != nil {
		t.Fatalf("open a window: %v, %v", err1, err2)
	}
	return b
}

// hear notes what a page must never cause. It runs in the loop that reads the
// browser's messages and may not call the browser.
func (b *tab) hear(ev any) {
	problem := ""
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			problem = fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
		if ex := e.ExceptionDetails.Exception; ex != nil {
			problem += " " + ex.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			problem = "console." + string(e.Type)
			for _, a := range e.Args {
				problem += " " + string(a.Value) + a.Description
			}
		}
	case *runtime.EventBindingCalled:
		problem = "content security policy: " + e.Payload
	case *page.EventJavascriptDialogOpening:
		problem = "a script opened a dialog: " + e.Message
	}
	if problem == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}

// quiet fails the test when the browser had anything to complain about.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("the browser reported: %s", p)
	}
	b.problems = nil
}

// fatalf fails the test with what the window shows.
func (b *tab) fatalf(format string, args ...any) {
	b.t.Helper()
	b.mu.Lock()
	problems := strings.Join(b.problems, "\n")
	b.mu.Unlock()
	at, _ := b.try(`location.href`)             // what can be had
	text, _ := b.try(`document.body.innerText`) // what can be had
	b.t.Fatalf("%s\n\nat %s the page shows:\n%s\n\nthe browser reported: %s", fmt.Sprintf(format, args...), at, text, problems)
}

// do runs steps that must work.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.fatalf("%s: %v", what, err)
	}
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.base+path))
}

// try evaluates JavaScript that gives text. It fails while a page is being left.
func (b *tab) try(js string) (string, error) {
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	return chromedp.Run(ctx, chromedp.Evaluate[string](js))
}

// get evaluates JavaScript that gives JSON.
func get[T any](b *tab, js string) T {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if err != nil {
		b.fatalf("evaluate %s: %v", js, err)
	}
	return v
}

// wait looks at the page until a JavaScript condition holds.
func (b *tab) wait(what, js string) {
	b.t.Helper()
	b.waitFor(what, func() bool {
		got, err := b.try(`String(!!(` + js + `))`)
		return err == nil && got == "true"
	})
}

func (b *tab) waitFor(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			b.fatalf("waited %s for this in vain: %s", patience, what)
		}
		time.Sleep(15 * time.Millisecond) // a poll, not a pause: the condition decides
	}
}

// sees waits until a text can be read inside an element.
func (b *tab) sees(selector, text string) {
	b.t.Helper()
	b.wait(fmt.Sprintf("%q in %s", text, selector), fmt.Sprintf(`[...document.querySelectorAll(%s)].some((e) => e.checkVisibility() && e.innerText.includes(%s))`, quote(selector), quote(text)))
}

// text is what can be read inside an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return get[string](b, `document.querySelector(`+quote(selector)+`)?.innerText ?? ''`)
}

func quote(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always encodes
	}
	return string(raw)
}

// target finds what a person would point at: it is on the screen, enabled, and
// nothing lies over it.
const target = `((kinds, text) => {
  const name = (e) => (e.labels?.[0] ?? e).textContent.trim().replace(/\s+/g, ' ');
  const e = [...document.querySelectorAll(kinds)].find((e) => e.checkVisibility() && !e.disabled && (name(e) === text || e.getAttribute('aria-label') === text || e.dataset.label === text));
  if (!e) return '';
  e.scrollIntoView({ block: 'center', behavior: 'instant' });
  const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
  const top = document.elementFromPoint(x, y);
  return top && (e.contains(top) || top.contains(e)) ? JSON.stringify([x, y]) : '';
})`

const (
	pressables = "button, summary"
	links      = "a"
	fields     = "input, textarea, select, .editor" // an editor stands where its textarea was
)

// click points at something by what is written on it and clicks.
func (b *tab) click(kinds, text string) {
	b.t.Helper()
	var at [2]float64
	before := ""
	b.waitFor(fmt.Sprintf("%q to click at", text), func() bool { // it stands still, or a page is only half there
		got, err := b.try(`document.readyState === 'loading' ? '' : ` + target + `(` + quote(kinds) + `,` + quote(text) + `)`)
		still := err == nil && got != "" && got == before
		before = got
		return still && json.Unmarshal([]byte(got), &at) == nil
	})
	b.do("click at "+text, chromedp.MouseClickXY(at[0], at[1]))
}

// press clicks a button; follow clicks a link.
func (b *tab) press(text string)  { b.t.Helper(); b.click(pressables, text) }
func (b *tab) follow(text string) { b.t.Helper(); b.click(links, text) }

// fill clicks into a field by its label, empties it and types. A page that is
// still being laid out may move away under the first click.
func (b *tab) fill(label, text string) {
	b.t.Helper()
	b.waitFor(label+" to have the focus", func() bool {
		b.click(fields, label)
		got, err := b.try(`String((() => { const e = document.activeElement; return e?.labels?.[0]?.textContent.trim().replace(/\s+/g, ' ') === ` + quote(label) + ` || e?.getAttribute('aria-label') === ` + quote(label) + ` || e?.dataset.label === ` + quote(label) + `; })())`)
		return err == nil && got == "true"
	})
	b.do("empty "+label, chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.KeyEvent(kb.Delete))
	b.typeText(text)
}

// typeText types into whatever has the focus.
func (b *tab) typeText(text string) {
	b.t.Helper()
	b.do("type "+text, chromedp.KeyEvent(text))
}

// paste puts text into a field in one go, as Ctrl+V does.
func (b *tab) paste(label, text string) {
	b.t.Helper()
	b.click(fields, label)
	b.do("paste into "+label, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
}

// record notes every text that an element shows from now on, however briefly,
// and marks the page so that a reload would be noticed.
func (b *tab) record(selector string) *recording {
	b.t.Helper()
	get[bool](b, `((q) => {
  const seen = window.e2eSeen = [];
  const note = () => { const t = document.querySelector(q)?.innerText ?? ''; if (seen.at(-1) !== t) seen.push(t); };
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true, characterData: true, attributes: true });
  note();
  return true;
})(`+quote(selector)+`)`)
	return &recording{b: b, selector: selector}
}

type recording struct {
	b        *tab
	selector string
}

// texts are the different texts so far, in order.
func (r *recording) texts() []string {
	r.b.t.Helper()
	raw := get[string](r.b, `JSON.stringify(window.e2eSeen ?? null)`)
	var seen []string
	if err := json.Unmarshal([]byte(raw), &seen); err != nil {
		r.b.fatalf("what %s showed: %v", r.selector, err)
	}
	if seen == nil {
		r.b.fatalf("the page was loaded anew while %s was watched", r.selector)
	}
	return seen
}

// signInAs types the password, as everybody has to.
func (b *tab) signInAs(name, password string) {
	b.t.Helper()
	b.open("/")
	b.fill("Name", name)
	b.fill("Password", password)
	b.press("Sign in")
	b.sees("h1", "Servers")
}

// scripts switches JavaScript on or off, as a cautious person does.
func (b *tab) scripts(on bool) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.fatalf("switch scripts: %v", err)
	}
}

func (s *site) eventually(what string, ok func() bool) {
	s.t.Helper()
	testenv.Eventually(s.t, patience, what, ok)
}
