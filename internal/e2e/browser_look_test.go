package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// screen is a size that the pages have to fit.
type screen struct {
	name          string
	width, height int
	mobile        bool
}

var (
	wide  = screen{name: "wide", width: 1280, height: 860}
	phone = screen{name: "phone", width: 390, height: 844, mobile: true}
)

// pictures is where screenshots go, "" when nobody wants any.
func pictures(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return ""
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// look checks that the page fits a desk and a phone, and takes its picture on
// both, by day and by night, when pictures are wanted. It reads nothing anew:
// what was on the page stays on it.
func (b *tab) look(name string) { b.t.Helper(); b.lookWith(name, nil) }

// lookWith also calls each in every size and colour, unless it is nil.
func (b *tab) lookWith(name string, each func(s screen, mode string)) {
	b.t.Helper()
	dir := pictures(b.t)
	for _, s := range []screen{phone, wide} {
		b.resize(s)
		over := get[string](b, `(() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return '';
  const wide = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > room + 1 && !e.closest('.scroll, .log, .argv, textarea'));
  return wide.map((e) => e.outerHTML.slice(0, 120)).slice(0, 4).join('\n') || 'scrollWidth ' + document.documentElement.scrollWidth;
})()`)
		if over != "" {
			b.t.Errorf("%s does not fit %d px:\n%s", name, s.width, over)
		}
		if dir == "" && each == nil {
			continue
		}
		for _, mode := range []string{"light", "dark"} {
			b.paint(mode)
			if dir != "" {
				b.shoot(filepath.Join(dir, name+"-"+s.name+"-"+mode+".png"))
			}
			if each != nil {
				each(s, mode)
			}
		}
	}
	b.paint("")
}

// snap takes a picture of what would not outlive a change of size.
func (b *tab) snap(name string) {
	b.t.Helper()
	if dir := pictures(b.t); dir != "" {
		b.shoot(filepath.Join(dir, name+".png"))
	}
}

func (b *tab) resize(s screen) {
	b.t.Helper()
	opts := []chromedp.EmulateViewportOption{}
	if s.mobile {
		opts = append(opts, chromedp.EmulateMobile)
	}
	b.do("resize to "+s.name, chromedp.EmulateViewport(int64(s.width), int64(s.height), opts...))
}

// paint chooses the colours: light, dark, or "" for what the browser likes.
func (b *tab) paint(mode string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	p := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: mode}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, p); err != nil {
		b.fatalf("paint it %s: %v", mode, err)
	}
}

func (b *tab) shoot(path string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.fatalf("take the picture %s: %v", path, err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
