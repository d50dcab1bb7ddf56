package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// output is what l4d2ctl prints for args.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, nil, &out, &errs); code != 0 {
		t.Fatalf("%q ended with %d: %s", args, code, errs.String())
	}
	return out.String()
}

func TestBashCompletes(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"friday", "monday"} {
		if err := os.MkdirAll(filepath.Join(root, "instances", name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "instances", name, "spec.yaml"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "my spec.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(root, "completion")
	if err := os.WriteFile(script, []byte(output(t, "completion", "bash")), 0o644); err != nil {
		t.Fatal(err)
	}
	// The last word is the one under the cursor; readline splits at "=".
	tests := map[string]struct {
		words []string
		want  []string
	}{
		"commands":           {[]string{"sta"}, []string{"start", "status"}},
		"below a command":    {[]string{"steam", ""}, []string{"login", "logout", "profiles"}},
		"servers":            {[]string{"start", ""}, []string{"friday", "monday"}},
		"a server begun":     {[]string{"--events", "json", "stop", "mo"}, []string{"monday"}},
		"no second server":   {[]string{"start", "friday", ""}, nil},
		"a spec":             {[]string{"initialize", "friday", "-f", root + "/my"}, []string{root + "/my spec.yaml"}},
		"an add-on":          {[]string{"vpk", "check", root + "/my"}, []string{root + "/my spec.yaml"}},
		"another add-on":     {[]string{"vpk", "check", "x.vpk", root + "/my"}, []string{root + "/my spec.yaml"}},
		"after a value":      {[]string{"initialize", "-f", "x.yaml", "fr"}, []string{"friday"}},
		"choices":            {[]string{"--supervisor", "r"}, []string{"rootless"}},
		"choices behind =":   {[]string{"--supervisor", "=", "sys"}, []string{"systemd"}},
		"flags of a command": {[]string{"logs", "friday", "--no"}, []string{"--no-follow"}},
		"global flags":       {[]string{"start", "friday", "--sup"}, []string{"--supervisor"}},
		"shells":             {[]string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		"another root":       {[]string{"--root", "/nowhere", "start", ""}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			args := append([]string{
				"-c", `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _l4d2ctl; printf '%s\n' "${COMPREPLY[@]}"`, "bash", script,
				filepath.Join(os.Getenv(binVariable), "l4d2ctl"),
			}, tt.words...)
			cmd := exec.Command("bash", args...)
			cmd.Env = append(os.Environ(), "LEFT4ME_ROOT="+root)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var got []string
			if text := strings.TrimRight(string(out), "\n"); text != "" {
				got = strings.Split(text, "\n")
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q offers %q, want %q", tt.words, got, tt.want)
			}
		})
	}
}

// The other shells need not be on this machine; where they are, they read the
// script. Everything of the grammar must be in it in any case.
func TestEveryShellKnowsTheWholeGrammar(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script := output(t, "completion", shell)
		help := output(t, "man")
		for _, word := range []string{"initialize", "doctor", "logout", "steamcmd", "timeout", "no-follow", "rootless", "status --names"} {
			if !strings.Contains(script, word) {
				t.Errorf("%s does not know %s", shell, word)
			}
			if word != "status --names" && !strings.Contains(strings.ReplaceAll(help, `\-`, "-"), word) {
				t.Errorf("the manual does not know %s", word)
			}
		}
		if strings.Contains(script, "keeper") || strings.Contains(script, "replay") {
			t.Errorf("%s offers what is hidden", shell)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("there is no %s here: its script was not read by it", shell)
			continue
		}
		cmd := exec.Command(path, "-n", "/dev/stdin")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s refuses its script: %v\n%s", shell, err, out)
		}
	}
}

func TestManualIsCurrent(t *testing.T) {
	have, err := os.ReadFile("../../docs/l4d2ctl.1")
	if err != nil {
		t.Fatal(err)
	}
	if want := output(t, "man"); string(have) != want {
		t.Error("docs/l4d2ctl.1 is not what l4d2ctl man prints: run make docs")
	}
}
