package gamefiles_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

const secret = "what nobody may read"

// plant makes a folder with a secret outside of what the game wrote.
func (h host) plant() (dir string) {
	h.t.Helper()
	h.write(map[string]string{"outside/secret": secret, "outside/cfg/server.cfg": secret})
	return filepath.Join(h.Root, "outside")
}

// Links in a server's folder are shown as links and never followed.
func TestAttack1LinksOfTheGame(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	outside := h.plant()
	h.wrote(map[string]string{"left4dead2/logs/": ""})
	for name, target := range map[string]string{
		"file": filepath.Join(outside, "secret"), "folder": outside, "up": "../../../../../outside", "left4dead2/cfg": outside + "/cfg",
		"proc": "/proc/self/root", "loop": "loop", "left4dead2/logs/relative": "../../../../../outside/secret",
	} {
		if err := os.Symlink(target, filepath.Join(h.upper, name)); err != nil {
			t.Fatal(err)
		}
	}
	g, err := h.Seen(server, ctl.Spec{}, "")
	if err != nil || words(g) != "left4dead2/[0 1] file@[0] folder@[0] loop@[0] proc@[0] up@[0]" {
		t.Errorf("the top has %v, %v", words(g), err)
	}
	for _, path := range []string{"file", "folder/secret", "folder", "up/secret", "left4dead2/cfg/server.cfg", "proc/etc/passwd", "loop", "left4dead2/logs/relative"} {
		if text, err := h.text(ctl.Spec{}, path); err == nil || strings.Contains(text, secret) {
			t.Errorf("%s opens as %q, %v", path, text, err)
		}
	}
	for _, dir := range []string{"folder", "up", "left4dead2/cfg", "proc", "proc/etc", "loop"} {
		for name, look := range map[string]func() (*ctl.GameFolder, error){
			"written": func() (*ctl.GameFolder, error) { return h.Written(server, dir) },
			"seen":    func() (*ctl.GameFolder, error) { return h.Seen(server, ctl.Spec{}, dir) },
		} {
			if g, err := look(); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s (%s): %v, %v", dir, name, g, err)
			}
		}
	}
}

// The game exchanges a folder and a link to the outside, and a file and a pipe, as
// fast as it can, while two readers look.
func TestAttack2ExchangeWhileLooking(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	outside := h.plant()
	h.wrote(map[string]string{"d/secret": "of the game", "f": "of the game"})
	if err := errors.Join(os.Symlink(outside, filepath.Join(h.upper, "d2")), unix.Mkfifo(filepath.Join(h.upper, "f2"), 0o644)); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, name := range []string{"d", "f"} {
				a, b := filepath.Join(h.upper, name), filepath.Join(h.upper, name+"2")
				if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for range 400 {
				for _, path := range []string{"d/secret", "f"} {
					f, err := h.Open(server, ctl.Spec{}, path)
					if err != nil {
						continue
					}
					b, err := io.ReadAll(f)
					if string(b) != "of the game" || err != nil {
						t.Errorf("%s gave %q, %v", path, b, err)
					}
					_ = f.Close() // read only; nothing can be lost
				}
				for _, look := range []func(string, string) (*ctl.GameFolder, error){h.Written, func(s, d string) (*ctl.GameFolder, error) { return h.Seen(s, ctl.Spec{}, d) }} {
					if g, err := look(server, "d"); err == nil && strings.Contains(words(g), "cfg") {
						t.Errorf("the outside was listed: %s", words(g))
					}
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	<-done
}

func TestAttack3PathsAndNames(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.plant()
	odd := []string{"new\nline", "\xff\xfe", "tab\t", "back\\slash", "dot.", "%2e%2e", " ", "-x", "q\"uote", "<b>", strings.Repeat("n", 255)}
	for _, name := range odd {
		h.wrote(map[string]string{name: "odd"})
	}
	g, err := h.Written(server, "")
	if err != nil || len(g.Entries) != len(odd) {
		t.Fatalf("%v, %v; want %d entries", g, err, len(odd))
	}
	for _, e := range g.Entries {
		if text, err := h.text(ctl.Spec{}, e.Path); text != "odd" || err != nil {
			t.Errorf("%q opens as %q, %v", e.Path, text, err)
		}
	}
	for _, path := range []string{
		"..", "../upper/ ", "../../../outside/secret", "/etc/passwd", "a/../../x", "./-x", "a//b", "-x/", "x\x00y", ".", "/", strings.Repeat("a/", 70) + "x", strings.Repeat("a", 5000), "%2e%2e/secret",
	} {
		if f, err := h.Open(server, ctl.Spec{}, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open(%q) = %v, %v", path, f, err)
		}
		if g, err := h.Written(server, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Written(%q) = %v, %v", path, g, err)
		}
		if g, err := h.Seen(server, ctl.Spec{}, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Seen(%q) = %v, %v", path, g, err)
		}
	}
	for _, name := range []string{"..", "../" + server, server + "/upper", "", "/", "a\x00b", "."} {
		if g, err := h.Written(name, "outside"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("server %q: %v, %v", name, g, err)
		}
	}
}

// Pipes and sockets are listed and never waited for.
func TestAttack2PipesAreNotOpened(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := unix.Mkfifo(filepath.Join(h.upper, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }() // never used
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(h.upper, "s")}); err != nil {
		t.Fatal(err)
	}
	g, err := h.Written(server, "")
	if err != nil || words(g) != "pipe?[0] s?[0]" {
		t.Errorf("it has %v, %v", words(g), err)
	}
	for _, name := range []string{"pipe", "s"} {
		if f, err := h.Open(server, ctl.Spec{}, name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// A folder of very many entries is shown up to a bound, and says so.
func TestAttack4VeryManyEntries(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.wrote(map[string]string{"0": "one file with many names"})
	for i := range 21_500 {
		if err := os.Link(filepath.Join(h.upper, "0"), filepath.Join(h.upper, strconv.Itoa(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	for name, look := range map[string]func() (*ctl.GameFolder, error){
		"written": func() (*ctl.GameFolder, error) { return h.Written(server, "") },
		"seen":    func() (*ctl.GameFolder, error) { return h.Seen(server, ctl.Spec{}, "") },
	} {
		g, err := look()
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Entries) > 2_000 || !g.Cut || g.More < 18_000 {
			t.Errorf("%s: %d entries, %d more, cut %v", name, len(g.Entries), g.More, g.Cut)
		}
	}
}

// The generated server.cfg holds the RCON password; what is shown of it does not.
func TestAttack24GeneratedFilesAreMasked(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const password = "opensesame123"
	h.write(map[string]string{
		"instances/" + server + "/layers/0123456789ab/left4dead2/cfg/server.cfg": "rcon_password " + password,
		"instances/" + server + "/spec.yaml":                                     "rcon_password: " + password,
	})
	h.publish(1, map[string]string{"left4dead2/cfg/server.cfg": "sv_x 1\n"})
	spec := ctl.Spec{Overlays: []string{"1/v1"}, Exec: []string{"1/v1"}, RCONPassword: password}
	g, err := h.Seen(server, spec, "left4dead2/cfg")
	if err != nil || words(g) != "left4dead2/cfg/server.cfg[1 2] left4dead2/cfg/server_overlay_1.cfg[1]" {
		t.Fatalf("%v, %v", g, err)
	}
	for _, path := range []string{"left4dead2/cfg/server.cfg", "left4dead2/cfg/server_overlay_1.cfg"} {
		if text, err := h.text(spec, path); err != nil || text == "" || strings.Contains(text, password) {
			t.Errorf("%s is %q, %v", path, text, err)
		}
	}
	for _, path := range []string{"../../../instances/" + server + "/spec.yaml", "instances/" + server + "/spec.yaml"} {
		if text, err := h.text(spec, path); err == nil {
			t.Errorf("%s is %q", path, text)
		}
	}
}
