package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drop lets go of a file over the page, as a mouse does that brings it from a folder.
// text is JavaScript that gives its content.
func (b *tab) drop(name, text string) {
	b.t.Helper()
	get[bool](b, fmt.Sprintf(`(() => {
  const files = new DataTransfer();
  files.items.add(new File([%s], %s, { lastModified: 1700000000000 }));
  const over = (kind) => document.querySelector('main').dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
  over('dragenter'); over('dragover'); over('drop');
  return true;
})()`, text, quote(name)))
}

// newFilesOverlay makes one by its form.
func (b *tab) newFilesOverlay(name string) {
	b.t.Helper()
	b.open("/overlays/new?kind=files")
	b.fill("Name", name)
	b.press("Make the overlay")
	b.sees("h1", name)
}

// A file is dropped on the page, edited, published, and is in a version on the host;
// then without scripts, by forms alone.
func TestBrowserFiles(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.up()
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)
	b.newFilesOverlay("Friday files")
	at := get[string](b, `location.pathname`)
	b.sees("#files", "Nothing here yet.")
	b.look("files-empty")

	get[bool](b, `window.sameLoad = true`)
	b.drop("server.cfg", `'sv_alltalk 0\n'`)
	b.sees("#upload", "1 file is in the draft.")
	b.sees("#files-tree", "server.cfg")
	b.sees("#files-tree", "New")
	b.sees("#draft-bar", "1 change")
	b.drop("motd.txt", `'hello'`)
	b.sees("#files-tree", "motd.txt")
	if !get[bool](b, `window.sameLoad === true`) {
		t.Error("the page was loaded again")
	}
	b.look("files-draft")

	b.follow("server.cfg")
	b.fill("Text", "sv_alltalk 1")
	b.look("files-edit")
	b.press("Save to the draft")
	b.sees("main", "Saved.")
	b.fill("New path", "left4dead2/cfg/server.cfg")
	b.press("Move")
	b.sees("#files-tree", "server.cfg")
	b.follow("All files")
	b.sees("#draft-bar", "4 changes")

	b.fill("What changed", "The first files")
	b.drop("late.txt", `'late'`) // the bar is drawn anew: what is being written stays
	b.sees("#draft-bar", "5 changes")
	if got := get[string](b, `document.getElementById('d-why').value`); got != "The first files" {
		t.Errorf("while the bar changed, what was written became %q", got)
	}
	b.press("Publish")
	b.sees("#overlay-versions", "Version 1")
	b.sees("#overlay-versions", "The first files")
	b.sees("#draft-bar", "nothing to publish")
	b.wait("the list to show no draft", `!document.querySelector('#files-tree .chip')`)
	b.look("files-published")
	id := strings.TrimPrefix(at, "/overlays/")
	raw, err := os.ReadFile(filepath.Join(s.data, "overlays", id, "v1", "left4dead2", "cfg", "server.cfg"))
	if err != nil || strings.TrimSpace(string(raw)) != "sv_alltalk 1" {
		t.Errorf("version 1 has %q, %v", raw, err)
	}

	b.scripts(false)
	b.open(at)
	b.follow("motd.txt")
	b.press("Delete motd.txt")
	b.sees("h1", "Delete “motd.txt”?")
	b.press("Delete it")
	b.sees("#files-tree", "Deleted")
	b.press("Throw away")
	b.press("Throw it away")
	b.sees("#draft-bar", "nothing to publish")
}

// An upload that is cut off in the middle goes on where it was when the same file is
// chosen again, also after the page was loaded anew.
func TestBrowserResumesAnUpload(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.up()
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)
	b.newFilesOverlay("Large things")
	at := get[string](b, `location.pathname`)
	const big = `new Uint8Array(20 * 1024 * 1024).fill(7)`

	// From the second part on nothing leaves this browser.
	get[bool](b, `(() => {
  const send = XMLHttpRequest.prototype.send;
  let parts = 0;
  XMLHttpRequest.prototype.send = function (body) { if (++parts < 2) send.call(this, body); else window.fetch = () => new Promise(() => {}); };
  return true;
})()`)
	b.drop("big.bin", big)
	b.sees("#upload", "8 MB of 21 MB")
	b.look("files-uploading")
	b = b.second() // as after a crash: a page that is left by hand asks first
	b.open(at)
	b.sees("#upload", "Not complete")
	b.sees("#upload", "big.bin 8 MB of 21 MB")
	b.look("files-cut")
	b.drop("big.bin", big)
	b.sees("#upload", "1 file is in the draft.")
	b.sees("#files-tree", "big.bin")
	sent := get[string](b, `performance.getEntriesByType('resource').filter((e) => e.name.includes('offset=')).map((e) => e.name.split('offset=')[1]).join()`)
	if sent != "8388608,16777216" {
		t.Errorf("the second time the parts at %s were sent; want only what was missing", sent)
	}
	if got := get[int](b, `document.querySelectorAll('[data-waiting]').length`); got != 0 {
		t.Error("it is still shown as not complete")
	}
	if left := get[string](b, `localStorage.getItem('left4me.uploads')`); left != "{}" {
		t.Errorf("the browser still remembers %s", left)
	}

	// A connection that is lost for a while needs nobody's help.
	get[bool](b, `(() => {
  const send = XMLHttpRequest.prototype.send;
  let parts = 0;
  XMLHttpRequest.prototype.send = function (body) {
    if (++parts === 2) setTimeout(() => this.dispatchEvent(new ProgressEvent('error')), 50);
    else send.call(this, body);
  };
  return true;
})()`)
	b.drop("other.bin", big)
	b.sees("#files-tree", "other.bin")
}

// A script is written, run, and what it made is a version.
func TestBrowserScript(t *testing.T) {
	path := chromium(t)
	s := newSite(t, true)
	s.up()
	b := newBrowser(t, path, s.base)
	b.signInAs("admin", adminPassword)
	b.open("/overlays/new?kind=script")
	b.fill("Name", "Made by hand")
	b.press("Make the overlay")
	b.sees("h1", "Made by hand")
	b.paste("The script", "mkdir -p left4dead2/cfg\necho made > left4dead2/cfg/made.txt\necho '<b>said</b>'\n")
	b.look("script")
	b.press("Save and build")
	b.sees(".log", "<b>said</b>")
	b.sees("#script-build", "Done")
	b.sees("#overlay-versions", "Version 1")
	b.look("script-built")
}
