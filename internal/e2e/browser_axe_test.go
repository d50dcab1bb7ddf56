package e2e

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe-core, unchanged; see testdata/axe/README.md.
//
//go:embed testdata/axe/axe.min.js
var axeSource string

// finding is what axe-core has against a page.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

func (f finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s, %d times", f.ID, f.Impact, f.Help, len(f.Nodes))
	for i, n := range f.Nodes {
		if i == 3 {
			break
		}
		fmt.Fprintf(&b, "\n    %.200s\n      %s", n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n      "))
	}
	return b.String()
}

// axe reports what axe-core finds serious or critical on the page as it is now,
// contrast included. With rules it looks for those only.
func (b *tab) axe(where string, rules ...string) {
	b.t.Helper()
	for _, f := range b.findings(where, rules...) {
		b.t.Errorf("%s: %s", where, f)
	}
}

func (b *tab) findings(where string, rules ...string) []finding {
	b.t.Helper()
	options := map[string]any{"resultTypes": []string{"violations"}}
	if len(rules) > 0 {
		options["runOnly"] = rules
	}
	raw, err := json.Marshal(options)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(b.ctx, 2*patience) // a long page on a busy machine
	defer stop()
	js := `(async () => {
  if (!window.axe) {` + axeSource + `
  }
  const { violations } = await axe.run(document, ` + string(raw) + `);
  return JSON.stringify(violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.map(({ html, failureSummary }) => ({ html, failureSummary })) })));
})()`
	out, err := chromedp.Run(ctx, chromedp.Evaluate[string](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fatalf("ask axe-core about %s: %v", where, err)
	}
	var all []finding
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		b.t.Fatalf("%s: what axe-core said: %v", where, err)
	}
	return all
}

// The pages would pass easily if nothing was looked for.
func TestBrowserAxeFinds(t *testing.T) {
	path := chromium(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>bad</title><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><style>body { background: light-dark(#fff, #000) } p { color: light-dark(#999, #eee) }</style><main><h1>Bad</h1><p>pale by day</p><button></button></main></html>`) // the visitor may leave
	}))
	defer srv.Close()
	b := newBrowser(t, path, srv.URL)
	b.open("/")
	for mode, want := range map[string][]string{"light": {"button-name", "color-contrast"}, "dark": {"button-name"}} {
		b.paint(mode)
		var got []string
		for _, f := range b.findings("a bad page") {
			got = append(got, f.ID)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %q; want %q", mode, got, want)
		}
	}
}
