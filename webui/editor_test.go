package webui

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The bundle is committed, so it can be forgotten: its first line says which packages
// and which source it was made of.
func TestEditorIsBundledFromItsSource(t *testing.T) {
	t.Parallel()
	var pkg struct{ Dependencies map[string]string }
	var lock struct {
		Packages map[string]struct{ Version, Resolved, Integrity string }
	}
	for name, into := range map[string]any{"package.json": &pkg, "package-lock.json": &lock} {
		raw, err := os.ReadFile("editor/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var want []string
	for _, name := range slices.Sorted(maps.Keys(pkg.Dependencies)) {
		version := pkg.Dependencies[name]
		if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) {
			t.Errorf("package.json takes %s %s; want one exact version", name, version)
		}
		if got := lock.Packages["node_modules/"+name].Version; got != version {
			t.Errorf("package-lock.json has %s %s, package.json %s", name, got, version)
		}
		want = append(want, name+"@"+version)
	}
	for name, p := range lock.Packages {
		if name != "" && p.Integrity == "" {
			t.Errorf("package-lock.json has no sum for %s", name)
		}
		if p.Resolved != "" { // every mirror will do
			t.Errorf("package-lock.json takes %s from %s", name, p.Resolved)
		}
	}
	files, err := os.ReadDir("editor/src")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, f := range files { // sorted by name
		raw, err := os.ReadFile("editor/src/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(raw)
	}
	want = append(want, "source@"+hex.EncodeToString(sum.Sum(nil))[:16])
	bundle, err := staticFiles.ReadFile("static/editor.js")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(bundle), "\n")
	if got := strings.TrimPrefix(line, "// "); got != strings.Join(want, " ") {
		t.Errorf("editor.js was made of\n%s\nand would be made of\n%s\nnow: run make editor", got, strings.Join(want, " "))
	}
}
