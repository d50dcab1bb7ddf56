package recipes_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
	"left4me/hostops/recipes"
)

// Every recipe has its script, every script its recipe, and bash takes them.
func TestRecipesAreWhole(t *testing.T) {
	t.Parallel()
	var names []string
	for _, r := range recipes.All() {
		names = append(names, r.Name+".sh")
		script, err := recipes.Script(r.Name)
		if err != nil {
			t.Errorf("%s: %v", r.Name, err)
			continue
		}
		cmd := exec.Command("bash", "-n")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", r.Name, err, out)
		}
		if r.Title == "" || r.Text == "" || r.From == "" {
			t.Errorf("%+v is not described", r)
		}
		if env, err := recipes.Environment(r, nil); err != nil || len(env) != len(r.Options) {
			t.Errorf("%s with its defaults: %v, %v", r.Name, env, err)
		}
		for _, o := range r.Options {
			if !strings.Contains(script, "RECIPE_"+strings.ToUpper(o.Name)) {
				t.Errorf("%s does not read its option %s", r.Name, o.Name)
			}
		}
	}
	files, err := filepath.Glob("*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f != "lib.sh" && !slices.Contains(names, f) {
			t.Errorf("%s belongs to no recipe", f)
		}
	}
	for _, name := range []string{"lib", "", "../recipes", "no-such"} {
		if _, err := recipes.Script(name); !errors.Is(err, ctl.ErrBadSpec) {
			t.Errorf("the script of %q: %v", name, err)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	sourcemod, ok := recipes.Find("sourcemod")
	if !ok {
		t.Fatal("no sourcemod")
	}
	got, err := recipes.Environment(sourcemod, map[string]string{"branch": "1.11"})
	if want := []string{"RECIPE_BRANCH=1.11", "RECIPE_ADMINS="}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for name, chosen := range map[string]map[string]string{
		"no choice":      {"branch": "1.12; id"},
		"no option":      {"path": "/bin"},
		"long":           {"admins": strings.Repeat("x", 201)},
		"line break":     {"admins": "a\nb"},
		"NUL":            {"admins": "a\x00b"},
		"not UTF-8":      {"admins": "a\xffb"},
		"an empty name":  {"": "x"},
		"another's name": {"LEFT4ME_MIRROR": "x"},
	} {
		if env, err := recipes.Environment(sourcemod, chosen); !errors.Is(err, ctl.ErrBadSpec) {
			t.Errorf("%s: %q, %v, want it refused", name, env, err)
		}
	}
}

// The predecessor's scripts say their names, as `left4me overlay seed` reads them.
func TestSeeds(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(seedFolder + "/*.sh")
	if err != nil || len(files) != 5 {
		t.Fatalf("%v %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if want := "#!/bin/bash\n# name: " + strings.TrimSuffix(filepath.Base(f), ".sh") + "\n"; !strings.HasPrefix(string(text), want) {
			t.Errorf("%s does not begin with %q", f, want)
		}
	}
}
