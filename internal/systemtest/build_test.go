//go:build system

package systemtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor/suitetest"
)

// writeSpec makes the spec of a script overlay that left4me can read.
func writeSpec(t testing.TB, spec ctl.OverlaySpec) string {
	t.Helper()
	spec.Kind = ctl.OverlayScript
	b, err := spec.Encode()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp("/tmp", "left4me-spec-*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(f.Name()) }) // a leftover hurts nobody
	_, err = f.Write(b)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// build is `l4d2ctl overlay build` as left4me; extra are arguments before it.
func build(t testing.TB, id int, spec ctl.OverlaySpec, extra ...string) (out string, code int) {
	t.Helper()
	argv := asLeft4me(append(append([]string{"l4d2ctl"}, extra...), "overlay", "build", strconv.Itoa(id), "-f", writeSpec(t, spec))...)
	b, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(b), code
}

// unbuilt fails the test unless nothing of any build is left.
func unbuilt(t testing.TB) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(stateRoot, "builds"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("builds/%s is left", e.Name())
	}
	left := ""
	if !suitetest.Poll(func() bool {
		left = sh(t, "systemctl", "list-units", "--all", "--plain", "--no-legend", "left4me-build@*")
		return left == ""
	}) {
		t.Errorf("left behind: %s", left)
	}
}

// A script in the unit that is shipped: its output becomes a version of left4me's,
// with the net through the mirror, and the version before in its sight.
func TestBuild(t *testing.T) {
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page "+r.URL.Path) }))
	defer mirror.Close()
	script := `set -eu
echo "as $(id -un) $(id -Gn) in $PWD"; echo oops >&2
mkdir -p left4dead2/cfg "empty folder" closed
curl -fsS -o left4dead2/cfg/page.cfg "$LEFT4ME_MIRROR/https/example.org/x"
printf '#!/bin/sh\n' >run.sh; chmod 4755 run.sh || chmod 755 run.sh
echo x >closed/x; chmod 000 closed/x closed
awk 'BEGIN { print "awk works" }'
7z >/dev/null; unzip -v >/dev/null; tar --version >/dev/null; cp -p run.sh copy.sh
cat /previous/run.sh || echo first
`
	for n := range 2 {
		out, code := build(t, 7, ctl.OverlaySpec{Script: script + "echo run " + strconv.Itoa(n) + " >run\n"}, "--mirror", mirror.URL)
		if code != 0 || !strings.Contains(out, "as build build in /build") || !strings.Contains(out, "awk works") || !strings.Contains(out, "oops") || n == 0 != strings.Contains(out, "first\n") {
			t.Fatalf("code %d:\n%s", code, out)
		}
	}
	var versions []ctl.Version
	if err := json.Unmarshal([]byte(l4d2ctl(t, "overlay", "list", "7", "--json")), &versions); err != nil || len(versions) != 2 || versions[0].Files != 5 {
		t.Errorf("%+v, %v", versions, err)
	}
	for path, want := range map[string]string{
		"": "left4me:left4me 755", "/left4dead2/cfg/page.cfg": "left4me:left4me 644", "/run.sh": "left4me:left4me 755", "/closed": "left4me:left4me 755", "/closed/x": "left4me:left4me 644",
	} {
		if got := sh(t, "stat", "-c", "%U:%G %a", stateRoot+"/overlays/7/v2"+path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if b, err := os.ReadFile(stateRoot + "/overlays/7/v2/left4dead2/cfg/page.cfg"); err != nil || string(b) != "page /https/example.org/x" {
		t.Errorf("%q, %v", b, err)
	}
	out, code := build(t, 7, ctl.OverlaySpec{Script: "exit 3"})
	if code != ctl.ExitCode(ctl.ErrBuild) || !strings.Contains(out, "exit code 3") {
		t.Errorf("code %d:\n%s", code, out)
	}
	unbuilt(t)
	l4d2ctl(t, "overlay", "delete", "7")
}

// The worker builds from inside its own unit, which takes more from it than a shell
// does: everything of that unit but what it starts.
func TestBuildFromTheWorkersUnit(t *testing.T) {
	spec := writeSpec(t, ctl.OverlaySpec{Script: "mkdir d; echo x >d/x; chmod 700 d; id -un"})
	target := filepath.Join(stateRoot, "tmp", filepath.Base(spec)) // the unit's /tmp is its own
	sh(t, "install", "-m", "644", spec, target)
	defer os.Remove(target) // the container is thrown away
	argv := []string{"systemd-run", "--wait", "--pipe", "--collect", "--quiet"}
	_, service, _ := strings.Cut(sh(t, "systemctl", "cat", "left4me-worker.service"), "[Service]\n")
	service, _, _ = strings.Cut(service, "[Install]")
	for line := range strings.Lines(service) {
		line = strings.TrimSpace(line)
		key, _, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(line, "#") && !slices.Contains([]string{"ExecStart", "EnvironmentFile", "Restart", "RestartSec"}, key) {
			argv = append(argv, "-p", line)
		}
	}
	if len(argv) < 20 {
		t.Fatalf("the worker's unit has only %q", argv)
	}
	out, err := try(append(argv, "/opt/left4me/bin/l4d2ctl", "overlay", "build", "7", "-f", target)...)
	if err != nil || !strings.Contains(out, "Overlay 7 has its first version") {
		t.Errorf("%v\n%s", err, out)
	}
	unbuilt(t)
	l4d2ctl(t, "overlay", "delete", "7")
}

// Attacks 6, 9 and 12 of the list, under the unit that is shipped: a script reads and
// reaches nothing of the host's, of left4me's or of another build's.
func TestAttack9HostileBuild(t *testing.T) {
	for _, p := range []string{
		stateRoot + "/left4me.db", stateRoot + "/steam/config.vdf", stateRoot + "/tmp/secret", stateRoot + "/builds/8/out/secret",
		"/etc/left4me/secret", "/srv/secret", "/opt/secret", "/run/secret", "/tmp/secret", "/var/tmp/secret", shared,
	} {
		suitetest.Write(t, p, secret)
	}
	sh(t, "chown", "-R", "l4d2-build:l4d2-build", stateRoot+"/builds/8")
	t.Cleanup(func() { _ = os.RemoveAll(stateRoot + "/builds/8") }) // the container is thrown away
	// A process of the script's own user, outside.
	host := exec.Command("setpriv", "--reuid", "l4d2-build", "--regid", "l4d2-build", "--clear-groups", "env", "SECRET="+secret, "sleep", "1000")
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Process.Kill(); _ = host.Wait() }() // ours alone
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	out, code := build(t, 9, ctl.OverlaySpec{Script: fmt.Sprintf(`
secret=%s port=%s pid=%d
breach() { echo "BREACH: $*"; }
grep -rlsa "$secret" / --exclude-dir=proc --exclude-dir=left4me && breach "found it in a file"
grep -lsa "$secret" /proc/[0-9]*/environ && breach "found it in an environment"
[ "$(find /run ! -type d 2>/dev/null)" ] && breach "has $(find /run ! -type d)"
[ "$(ls /sys/class/net)" = lo ] || breach "sees interfaces $(ls /sys/class/net)"
[ "$(find /sys -writable ! -type l 2>/dev/null | head -n 1)" ] && { echo x >"$(find /sys -writable ! -type l 2>/dev/null | head -n 1)"; } 2>/dev/null && breach "writes below /sys"
for p in /var /home /root /srv /boot /etc/left4me /etc/shadow /etc/redis /opt/left4me/share /dev/shm/left4me-test /left4me/../builds; do
	for q in "$p" "/proc/1/root$p"; do [ -e "$q" ] && [ "$(ls -A "$q" 2>/dev/null)" ] && breach "has $q: $(ls -A "$q")"; done
done
for p in /new /usr/new /etc/new /left4me/new /left4me/script.sh /opt/left4me/bin/l4d2ctl /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/1/oom_score_adj; do
	{ echo hostile >"$p"; } 2>/dev/null && breach "wrote $p"
done
for p in mem environ cwd root exe fd/3; do { : <"/proc/1/$p"; } 2>/dev/null && breach "opened /proc/1/$p"; done
for d in /proc/[0-9]*; do n=${d#/proc/}
	[ "$n" = 1 ] || [ "$n" = $$ ] || [ "$n" = "$BASHPID" ] || [ ! -d $d ] || breach "sees process $n"
done
kill -9 1; kill -STOP 1; kill -9 $pid 2>/dev/null && breach "reached a process of the host"
for program in "unshare -U true" "unshare -n true" "mount -t tmpfs none /tmp" "umount -l /left4me" "setarch i686 true" "chroot / true" "nsenter -t 1 -m true"; do
	$program 2>/dev/null && breach "$program"
done
grep -E '^Cap' /proc/self/status | grep -v 0000000000000000 && breach capabilities
for host in 127.0.0.1 localhost '[::1]' 169.254.169.254 10.0.0.1 %s; do
	for how in "" -p "--noproxy *" ; do
		out=$(set -f; curl -sS --max-time 5 $how "http://$host:$port/" 2>&1) && [[ $out == *inside* ]] && breach "reached $host"
	done
	curl -sS --max-time 5 -p "http://$host:443/" 2>/dev/null && breach "tunnelled to $host"
done
[ "$(awk -F: 'NR>2{print $1}' /proc/net/dev | tr -d ' ')" = lo ] || breach "has $(cat /proc/net/dev)"
touch /build/x && [ "$(stat -c %%U /build/x)" = build ] || breach "is somebody else"
echo attack over
`, secret, port, host.Process.Pid, ownAddresses(t))})
	if code != 0 || strings.Contains(out, "BREACH") || !strings.Contains(out, "attack over") || !strings.Contains(out, "The script tried to reach 127.0.0.1") {
		t.Errorf("code %d, the attack:\n%s", code, out)
	}
	if !suitetest.Alive(host.Process.Pid) {
		t.Error("a process of the host was killed")
	}
	l4d2ctl(t, "overlay", "delete", "9")
}

// ownAddresses are the container's, with blanks between.
func ownAddresses(t testing.TB) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			list = append(list, n.IP.String())
		}
	}
	return strings.Join(list, " ")
}

// Attack 7 of the list: time, memory, files and processes are bounded by l4d2ctl itself,
// also where the control groups are not.
func TestAttack7BuildLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		spec ctl.OverlaySpec
		want string
	}{
		"time":      {ctl.OverlaySpec{Script: "sleep 1000", Limits: ctl.BuildLimits{Seconds: 2}}, "had run for 2 seconds"},
		"memory":    {ctl.OverlaySpec{Script: "head -c 150000000 /dev/zero | tail -c 150000000 | sleep 1000", Limits: ctl.BuildLimits{MemoryMB: 100}}, "more than 100 MiB of memory"},
		"disk":      {ctl.OverlaySpec{Script: "for i in $(seq 100); do head -c 1000000 /dev/zero >f$i; done; sleep 1000", Limits: ctl.BuildLimits{DiskMB: 20}}, "written more than 20 MiB"},
		"closed":    {ctl.OverlaySpec{Script: "mkdir d; for i in $(seq 30); do head -c 1000000 /dev/zero >d/f$i; done; chmod 000 d; sleep 1000", Limits: ctl.BuildLimits{DiskMB: 20}}, "written more than 20 MiB"},
		"fork bomb": {ctl.OverlaySpec{Script: "bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do sleep 1; done", Limits: ctl.BuildLimits{Seconds: 4}}, "had run for 4 seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := build(t, 7, tt.spec)
			if code != ctl.ExitCode(ctl.ErrLimit) || !strings.Contains(out, tt.want) {
				t.Errorf("code %d:\n%s", code, out)
			}
			unbuilt(t)
		})
	}
}

// A build is cancelled, or its l4d2ctl killed: nothing of it runs on, and what a
// hostile script closed to everybody is cleared by the next one.
func TestBuildEnds(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			spec := writeSpec(t, ctl.OverlaySpec{Script: "mkdir -p a/b; echo x >a/b/x; chmod 000 a/b a; echo begun; trap '' TERM; while :; do sleep 1; done"})
			argv := asLeft4me("l4d2ctl", "overlay", "build", "7", "-f", spec)
			cmd := exec.Command(argv[0], argv[1:]...)
			var out lockedBuffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			suitetest.Eventually(t, "the script has begun", func() bool { return strings.Contains(out.String(), "begun") })
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Fatalf("l4d2ctl did not end:\n%s", out.String())
			}
			suitetest.Eventually(t, "the unit has ended", func() bool {
				state, _ := try("systemctl", "is-active", "left4me-build@7.service") // it fails for any other state
				return state == "inactive" || state == "failed"
			})
			if sig == syscall.SIGTERM {
				if cmd.ProcessState.ExitCode() != ctl.ExitCode(ctl.ErrCancelled) {
					t.Errorf("code %d:\n%s", cmd.ProcessState.ExitCode(), out.String())
				}
				unbuilt(t)
				return
			}
			if out, code := build(t, 7, ctl.OverlaySpec{Script: "test ! -e a && echo new >new"}); code != 0 {
				t.Errorf("the build after it: code %d\n%s", code, out)
			}
			unbuilt(t)
			l4d2ctl(t, "overlay", "delete", "7")
		})
	}
}

// lockedBuffer is a buffer that a program writes while the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
