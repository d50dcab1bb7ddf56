package sandbox

import (
	"context"
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
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor/suitetest"
)

// breaches fails the test for each line that tells of one, and unless the script
// came to its end.
func breaches(t *testing.T, h *heard) {
	t.Helper()
	text := h.text()
	for line := range strings.Lines(text) {
		if strings.Contains(line, "BREACH") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if !strings.Contains(text, "attack over") || t.Failed() {
		t.Errorf("the attack:\n%s", text)
	}
}

// Attacks 6 and 9 of the list: a script sees nothing of the platform's, neither its
// environment nor its files nor its processes, and has no way to more rights.
func TestAttack9ScriptSeesNothingOfTheHost(t *testing.T) {
	b := newBench(t)
	if b == nil {
		return
	}
	const secret = "SECRET-OF-THE-HOST"
	t.Setenv("LEFT4ME_SECRET_KEY", secret)
	t.Setenv("DATABASE_URL", "postgres://"+secret)
	outside := t.TempDir()
	in := func(p string) string { return filepath.Join(b.Root, p) }
	for _, p := range []string{in("left4me.db"), in("web/secret.key"), in("builds/8/out/other"), in("overlays/8/v1/x"), filepath.Join(outside, "file")} {
		suitetest.Write(t, p, secret)
	}
	l, err := net.Listen("unix", filepath.Join(outside, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host := exec.Command("/bin/sleep", "1000")
	host.Env = []string{"SECRET=" + secret}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Process.Kill(); _ = host.Wait() }() // ours alone
	h := b.must(fmt.Sprintf(`
breach() { echo "BREACH: $*"; }
env | grep -q %[1]q && breach its environment
grep -rlsa %[1]q /proc/[0-9]*/environ /proc/[0-9]*/cmdline && breach environments
for p in %[2]s; do
	for q in "$p" "/proc/1/root$p" "/proc/self/root$p"; do [ -e "$q" ] && breach "sees $q"; done
done
for p in /new /usr/new /etc/new /left4me/new /left4me/script.sh /dev/new /proc/sys/kernel/hostname /proc/sys/user/max_user_namespaces /proc/1/oom_score_adj; do
	{ echo hostile >"$p"; } 2>/dev/null && breach "wrote $p"
done
for p in /home /root /var /run /srv /mnt /media /opt /sys /boot /work; do [ -e "$p" ] && breach "has $p"; done
for d in /proc/[0-9]*; do n=${d#/proc/}
	[ "$n" = 1 ] || [ "$n" = $$ ] || [ "$n" = "$BASHPID" ] || [ ! -d $d ] || breach "sees process $n"
done
for p in mem environ maps cwd root exe fd/3; do { : <"/proc/1/$p"; } 2>/dev/null && breach "opened /proc/1/$p"; done
kill -9 1; kill -STOP 1; kill -9 %[3]d 2>/dev/null && breach "reached a process of the host"
for fd in /proc/$$/fd/*; do
	case $(readlink $fd) in /dev/null | pipe:* | /left4me/script.sh | '') ;; *) breach "inherited $(ls -l $fd)" ;; esac
done
grep -E '^Cap' /proc/self/status | grep -v 0000000000000000 && breach "has capabilities"
grep -q 'NoNewPrivs:.*1' /proc/self/status || breach "may gain privileges"
grep -q 'Seccomp:.*2' /proc/self/status || breach "has no filter"
unshare -U true 2>/dev/null && breach "made a user namespace"
unshare -n true 2>/dev/null && breach "made a network namespace"
mount -t tmpfs none /tmp 2>/dev/null && breach "mounted"
umount -l /left4me 2>/dev/null && breach "unmounted"
setarch i686 true 2>/dev/null && breach "changed its personality"
[ "$(cat /sys/class/net/*/address 2>/dev/null)" ] && breach "sees interfaces"
[ "$(awk -F: 'NR>2{print $1}' /proc/net/dev | tr -d ' ')" = lo ] || breach "has interfaces $(cat /proc/net/dev)"
[ "$(id -G | wc -w)" -le 1 ] || echo "groups: $(id -G)"
echo attack over
`, secret, strings.Join([]string{in("left4me.db"), in("web"), in("builds/8"), in("overlays"), b.Root, outside}, " "), host.Process.Pid), nil)
	breaches(t, h)
	if !suitetest.Alive(host.Process.Pid) {
		t.Error("a process of the host was killed")
	}
	for p := range h.files {
		t.Errorf("made %s", p)
	}
}

// Attack 6 of the list: a program that asks the kernel directly is refused.
func TestAttack6SystemCallsOfAScript(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	previous := t.TempDir()
	// A child that another test starts meanwhile would inherit the open file, and a
	// program that is open for writing cannot be run.
	syscall.ForkLock.RLock()
	err = os.WriteFile(filepath.Join(previous, "attack"), program, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	h := b.must("/previous/attack attack", func(b *Build) { b.Previous = previous })
	breaches(t, h)
}

// Attack 12 of the list: no way leads inside, directly or by the proxy, in any spelling.
func TestAttack12RecipeReachesOnlyPublicAddresses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := b.must(fmt.Sprintf(`
port=%s
try() { out=$(curl -sS --max-time 20 "$@" 2>&1) && [[ $out == *inside* ]] && echo "BREACH: $*"; }
for host in 127.0.0.1 localhost '[::1]' 0.0.0.0 2130706433 0x7f000001 0177.0.0.1 127.1 '[::ffff:127.0.0.1]' '[64:ff9b::7f00:1]' 169.254.169.254 10.0.0.1 192.168.0.1 100.64.0.1 '[fe80::1]' '[fd00::1]'; do
	try "http://$host:$port/" ; try -p "http://$host:$port/"; try --noproxy '*' --max-time 2 "http://$host:$port/"
	try -p "http://$host/"; try "https://$host/"
done
# The proxy's own door, and requests that it does not understand.
printf 'GET / HTTP/1.1\r\nHost: 127.0.0.1:%%s\r\n\r\n' $port >/dev/tcp/127.0.0.1/3128 || echo "BREACH: no proxy"
try -x http://127.0.0.1:3128 "ftp://127.0.0.1:$port/"
curl -sS --unix-socket /left4me/proxy.sock "http://127.0.0.1:$port/" | grep inside && echo "BREACH: by its socket"
curl -sS --unix-socket /left4me/control.sock http://x/ 2>&1 | grep -q 'ouldn.t connect' || echo "BREACH: control socket"
echo attack over
`, port), nil)
	breaches(t, h)
	for _, want := range []string{"ctl: The script tried to reach 127.0.0.1:" + port + ": only port 80 may be reached.", "The script tried to reach 10.0.0.1:443: only public addresses may be reached"} {
		if !strings.Contains(h.text(), want) {
			t.Errorf("no line %q in\n%s", want, h.text())
		}
	}
}

// Attack 7 of the list: each limit ends the script while it runs, says which it was, and
// leaves nothing.
func TestAttack7Limits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	for name, tt := range map[string]struct {
		script string
		limits Limits
		want   []string
	}{
		"time":          {"sleep 1000", Limits{Time: 300 * time.Millisecond}, []string{"had run for 0.3 seconds", "up to 60 minutes"}},
		"memory":        {`head -c 150000000 /dev/zero | tail -c 150000000 | sleep 1000`, Limits{Memory: 100 << 20}, []string{"more than 100 MiB of memory", "up to 4 GiB"}},
		"memory in sum": {`for i in 1 2 3 4; do (x=$(head -c 40000000 /dev/zero | tr '\0' x); sleep 1000) & done; wait`, Limits{Memory: 120 << 20}, []string{"more than 120 MiB of memory"}},
		"memory in tmp": {"head -c 100000000 /dev/zero >/tmp/big; sleep 1000", Limits{Memory: 50 << 20}, []string{"more than 50 MiB of memory"}},
		"disk":          {"for i in $(seq 100); do head -c 1000000 /dev/zero >f$i; done; sleep 1000", Limits{Disk: 20 << 20}, []string{"written more than 20 MiB", "up to 20 GiB"}},
		"disk at once":  {"for i in $(seq 30); do head -c 1000000 /dev/zero >f$i; done", Limits{Disk: 20 << 20}, []string{"written more than 20 MiB"}},
		"holes":         {"for i in 1 2 3; do truncate -s 15M f$i; done; sleep 1000", Limits{Disk: 20 << 20}, []string{"written more than 20 MiB"}},
		"names of one":  {"head -c 1000000 /dev/zero >f; for i in $(seq 30); do ln f g$i; done; sleep 1000", Limits{Disk: 20 << 20}, []string{"written more than 20 MiB"}},
		"closed folder": {"mkdir d; head -c 6000000 /dev/zero >d/f; cp d/f d/g; chmod 000 d; sleep 1000", Limits{Disk: 8 << 20}, []string{"written more than 8 MiB"}},
		"files":         {"mkdir d; cd d; touch $(seq 2000); sleep 1000", Limits{Files: 1000}, []string{"more than 1000 files"}},
		"depth":         {"for i in $(seq 300); do mkdir d; cd d; done; sleep 1000", Limits{}, []string{"more than 64 deep"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // in vain
			defer cancel()
			h, err := b.run(ctx, tt.script, func(b *Build) { b.Limits = tt.limits })
			if err != nil || h.Limit == "" || h.files != nil {
				t.Fatalf("%v, %+v, took %v\n%s", err, h.Outcome, h.files, h.text())
			}
			for _, want := range tt.want {
				if !strings.Contains(h.Limit, want) {
					t.Errorf("%q does not say %q", h.Limit, want)
				}
			}
			t.Log(time.Since(before).Round(time.Millisecond), h.Limit)
			b.gone()
		})
	}
}

// One file that is larger than everything may be ends the program that writes it.
func TestAttack7LargeFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	h, err := b.run(t.Context(), "head -c 30000000 /dev/zero >f; echo code $?", func(b *Build) { b.Limits.Disk = 20 << 20 })
	if err != nil || !strings.Contains(h.text(), "out: code 1") {
		t.Errorf("%v, %+v\n%s", err, h.Outcome, h.text())
	}
}

// Attack 7 of the list: a fork bomb meets a limit of its own and is ended.
func TestAttack7ForkBomb(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	h, err := b.run(ctx, `echo begun; bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do sleep 1; done`, func(build *Build) {
		build.Line = func(_ ctl.Stream, text string) {
			if text == "begun" {
				go func() { // another build is not hit
					defer cancel(errors.New("the test has seen enough"))
					other := Build{ID: "8", Script: "echo fine | cat"}
					if o, err := b.Run(t.Context(), other); err != nil || o.ExitCode != 0 {
						t.Errorf("beside a fork bomb: %+v, %v", o, err)
					}
				}()
			}
		}
	})
	if !errors.Is(err, ctl.ErrCancelled) {
		t.Errorf("%v, %+v", err, h.Outcome)
	}
	b.gone()
}

// A flood of lines is cut, with a notice, and a line without an end as well.
func TestAttack10Flood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	h := b.must(`seq 300000; head -c 100000 /dev/zero | tr '\0' x; echo; printf 'a\e[31mb\x00c\xffd\n'; sleep 2; echo the end`, nil)
	lines := len(h.lines)
	text := h.text()
	if lines > lineBurst+50*lineRate || !strings.Contains(text, "lines were left out here") || !strings.HasSuffix(text, "out: the end") {
		t.Errorf("%d lines, the last ones:\n%s", lines, strings.Join(h.lines[max(0, lines-5):], "\n"))
	}
	for _, l := range h.lines {
		if len(l) > maxLine+20 {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
}

// What a script starts does not outlive it, and what it leaves is not changed any
// more once it is looked at.
func TestNothingOutlivesTheScript(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	h := b.must(`trap '' TERM HUP; (setsid sh -c 'while :; do date +%s%N >>clock; done' & ) ; while [ ! -s clock ]; do sleep 0.01; done`, func(build *Build) {
		take := build.Take
		build.Take = func(out *os.Root) error {
			first, err := out.ReadFile("clock")
			if err != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond)
			if second, err := out.ReadFile("clock"); err != nil || !slices.Equal(first, second) {
				t.Errorf("the output still changes: %q, %q, %v", first, second, err)
			}
			return take(out)
		}
	})
	if h.files["clock"] == "" {
		t.Errorf("%q", h.files)
	}
	b.gone()
}

// A cancelled script is asked to end, then killed.
func TestCancel(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	for name, script := range map[string]string{
		"polite":   `trap 'echo asked; exit 0' TERM; echo begun; while :; do sleep 0.1; done`,
		"stubborn": `trap '' TERM; echo begun; while :; do sleep 0.1; done`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			text := ""
			h, err := b.run(ctx, script, func(build *Build) {
				build.Line = func(_ ctl.Stream, line string) {
					if text += line + "\n"; line == "begun" {
						cancel(errors.New("somebody pressed the button"))
					}
				}
			})
			if !errors.Is(err, ctl.ErrCancelled) || !strings.Contains(err.Error(), "somebody pressed") || h.files != nil {
				t.Errorf("%v, %+v", err, h.Outcome)
			}
			if name == "polite" && !strings.Contains(text, "asked") {
				t.Errorf("it was not asked: %q", text)
			}
			b.gone()
		})
	}
}

// Attack 29 of the list: l4d2ctl killed with -9 takes the script with it, and the next
// build of that overlay, or a sweep, clears what was left, whatever its modes are.
func TestKilledRunner(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	cmd := exec.Command("/proc/self/exe", "run-and-wait", b.Root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil || !strings.HasPrefix(string(line[:n]), "begun") {
		t.Fatalf("%q %v", line[:n], err)
	}
	children := childrenOf(cmd.Process.Pid)
	if len(children) == 0 {
		t.Fatal("the sandbox has no process")
	}
	if err := b.Sweep(t.Context()); err != nil { // leaves alone what is under way
		t.Fatal(err)
	}
	if _, err := b.run(t.Context(), "true", nil); !errors.Is(err, ctl.ErrBusy) {
		t.Errorf("a second build beside it: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as it should be
	for _, pid := range children {
		soon(t, "process "+strconv.Itoa(pid)+" is gone", func() bool { return !suitetest.Alive(pid) })
	}
	if _, err := os.Stat(filepath.Join(b.Root, "builds/7/out")); err != nil {
		t.Errorf("the test is no test: %v", err)
	}
	soon(t, "the sweep has cleared it", func() bool {
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(filepath.Join(b.Root, "builds/7"))
		return err != nil
	})
	b.must("true", nil)
	b.gone()
}

// childrenOf are the direct children of a process.
func childrenOf(pid int) []int {
	var list []int
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range paths {
		child, err := strconv.Atoi(filepath.Base(p))
		if err == nil && parentOf(child) == pid {
			list = append(list, child)
		}
	}
	return list
}

// Inside a container the kernel may allow no fresh /proc. The host's must not be seen
// instead, and scripts run without.
func TestNoProcOfItsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if b == nil {
		return
	}
	cmd := exec.Command("/proc/self/exe", "covered-proc", b.Root)
	uid, gid := os.Getuid(), os.Getgid()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil || strings.Contains(text, "has proc") || !strings.Contains(text, "no /proc in this container") || !strings.Contains(text, "the end\ntook made\n0  <nil>") {
		t.Errorf("%v\n%s", err, text)
	}
}

// Attack 6 of the list: by hand it does nothing.
func TestRunInsideByHand(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"7", "setup"}, {"7", "inherited"}, {"../7"}, {"-x"}, {"7", "setup", "x"}, {"7", "8"}} {
		cmd := exec.Command("/proc/self/exe", append([]string{"build-exec"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != ctl.ExitCode(ctl.ErrUsage) || !strings.Contains(string(out), "never by hand") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
