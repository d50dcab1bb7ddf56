package steam

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

const secret = `Qx7 zz//9!'$`

func (b *bench) withLogin(t *testing.T) {
	t.Helper()
	if err := SaveLogin(b.Home, Login{User: "alice", Password: secret}); err != nil {
		t.Fatal(err)
	}
}

// shows is a steamcmd that shows its secrets wherever it can.
const shows = `
env > $HOME/env; tr '\0' ' ' < /proc/$$/cmdline > $HOME/argv; cat "$2" > $HOME/script; ls -l "$2" > $HOME/mode
mkdir -p $HOME/Steam/logs
sed -n 's/^login //p' "$2" | tr -d '"' > $HOME/words
read user password < $HOME/words
echo "login $user $password"
echo "Logging in user '$user' to Steam Public...OK"
echo "noise $password" >&2
echo "Download failed: with $password" >> $HOME/Steam/logs/bootstrap_log.txt
`

func TestLoginIsNeverShown(t *testing.T) {
	for name, body := range map[string]string{"success": shows + installs, "failure": shows + "exit 3"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, body)
			b.withLogin(t)
			b.Method = MethodLogin
			_, err := Install(t.Context(), b.Options)
			if (err == nil) != (name == "success") {
				t.Fatal(err)
			}
			for _, file := range []string{"env", "argv", lastInstall} {
				if data, err := os.ReadFile(filepath.Join(b.Home, file)); err != nil || len(data) == 0 || bytes.Contains(data, []byte(secret)) {
					t.Errorf("%s: %v\n%s", file, err, data)
				}
			}
			if script, err := os.ReadFile(filepath.Join(b.Home, "script")); err != nil || !strings.Contains(string(script), "\nlogin alice \""+secret+"\"\n") {
				t.Errorf("the script: %v\n%s", err, script)
			}
			if mode, err := os.ReadFile(filepath.Join(b.Home, "mode")); err != nil || !strings.HasPrefix(string(mode), "-rw-------") {
				t.Errorf("the script is %s (%v)", mode, err)
			}
			if left, err := filepath.Glob(filepath.Join(b.Home, scriptPattern)); err != nil || len(left) > 0 {
				t.Errorf("left behind %q (%v)", left, err)
			}
			said := b.stderr.String()
			for _, stream := range []ctl.Stream{ctl.StreamOut, ctl.StreamErr, ctl.StreamCtl} {
				said += strings.Join(b.lines(stream), "\n")
			}
			if err != nil {
				said += err.Error()
			}
			if strings.Contains(said, secret) || strings.Contains(said, "'alice'") || strings.Contains(said, "login alice") {
				t.Errorf("shown:\n%s", said)
			}
			if want := "noise " + maskText; !strings.Contains(b.stderr.String(), want) || !strings.Contains(said, "login "+maskText+" "+maskText) {
				t.Errorf("the masked lines are missing:\n%s", said)
			}
		})
	}
}

func TestAKilledRunLeavesNoScript(t *testing.T) {
	b := newBench(t, installs)
	b.withLogin(t)
	write(t, filepath.Join(b.Home, ".run-1.txt"), "login alice "+secret)
	if _, err := Install(t.Context(), b.Options); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(b.Home, ".run-1.txt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a script of an earlier run is left: %v", err)
	}
}

func TestLoginFile(t *testing.T) {
	home := filepath.Join(t.TempDir(), "steam")
	for name, l := range map[string]Login{
		"no name": {"", "x"}, "no password": {"alice", ""}, "a quotation mark": {"alice", `a"b`}, "a line break": {"alice", "a\nb"},
		"two words": {"Alice in Chains", "x"}, "anonymous": {"Anonymous", "x"}, "too long": {"alice", strings.Repeat("x", 200)},
	} {
		if err := SaveLogin(home, l); ctl.ExitCode(err) != 64 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l, err := readLogin(home); l != nil || err != nil {
		t.Errorf("without a file: %v, %v", l, err)
	}
	if err := SaveLogin(home, Login{"alice", secret}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, loginFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if l, err := readLogin(home); err != nil || l == nil || *l != (Login{"alice", secret}) {
		t.Errorf("read back %v, %v", l, err)
	}
	for name, spoil := range map[string]func() error{
		"others may read it": func() error { return os.Chmod(path, 0o640) },
		"damaged":            func() error { return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("{"), 0o600)) },
		"a link":             func() error { return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)) },
	} {
		if err := SaveLogin(home, Login{"alice", secret}); err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if l, err := readLogin(home); l != nil || err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	for range 2 { // forgetting nothing is success
		if err := ForgetLogin(home); err != nil {
			t.Error(err)
		}
	}
}

func TestLoginWithoutAnAccount(t *testing.T) {
	b := newBench(t, installs)
	b.Method = MethodLogin
	if _, err := Install(t.Context(), b.Options); ctl.ExitCode(err) != 76 || !strings.Contains(err.Error(), "l4d2ctl steam login") {
		t.Errorf("code %d: %v", ctl.ExitCode(err), err)
	}
}

func TestAQuestionEndsTheRun(t *testing.T) {
	for name, question := range map[string]string{"Steam Guard": "Steam Guard code:", "two factors": "Two-factor code: ", "password": "password: "} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "printf '\\n"+question+"'; sleep 1000")
			b.withLogin(t)
			b.Method = MethodLogin
			_, err := Install(t.Context(), b.Options)
			if ctl.ExitCode(err) != 76 || !strings.Contains(err.Error(), "Steam asks for") {
				t.Errorf("code %d: %v", ctl.ExitCode(err), err)
			}
		})
	}
}
