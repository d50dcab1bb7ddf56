package hostops

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPortHolderFindsThisProcess(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nothing was sent
	want := fmt.Sprintf("(process %d, TCP)", os.Getpid())
	if got := portHolder(l.Addr().(*net.TCPAddr).Port); !strings.HasPrefix(got, "the program ") || !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want the program … %s", got, want)
	}
	if got := portHolder(0); got != "another program on this host" {
		t.Errorf("nobody's port: %q", got)
	}
}

// fakeProc is a /proc with one socket on port 27015 and, maybe, its process.
func fakeProc(t *testing.T, table, state string, cwd string) string {
	t.Helper()
	proc := t.TempDir()
	writeFile(t, filepath.Join(proc, "net", table), "  sl  local_address rem_address   st\n"+
		"   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n"+
		"   1: 00000000:6987 00000000:0000 "+state+" 00000000:00000000 00:00000000 00000000     0        0 4711 2\n")
	if cwd != "" {
		writeFile(t, filepath.Join(proc, "42", "comm"), "srcds_linux\n")
		if err := os.MkdirAll(filepath.Join(proc, "42", "fd"), 0o755); err != nil {
			t.Fatal(err)
		}
		for link, target := range map[string]string{"fd/7": "socket:[4711]", "cwd": cwd} {
			if err := os.Symlink(target, filepath.Join(proc, "42", link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return proc
}

func TestPortHolderSaysWhatItMaySee(t *testing.T) {
	tests := map[string]struct{ table, state, cwd, want string }{
		"a game of ours":     {"udp", "07", "/srv/other/runtime/friday/merged", "server friday of another state root (process 42, UDP)"},
		"a program":          {"tcp6", "0A", "/", "the program srcds_linux (process 42, TCP)"},
		"somebody else's":    {"udp6", "07", "", "a program of user root (UDP; as root, ss -lntup shows which)"},
		"an old connection":  {"tcp", "01", "/", "another program on this host"},
		"a listening socket": {"tcp", "0A", "", "a program of user root (TCP; as root, ss -lntup shows which)"},
	}
	for name, tt := range tests {
		if got := holderIn(fakeProc(t, tt.table, tt.state, tt.cwd), 27015); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
