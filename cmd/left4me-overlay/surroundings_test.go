package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// surroundings_test.go: what the helper's callers and the layers can do to it.

func TestCallersSurroundings(t *testing.T) { // rows 55 to 59, 76, 77
	server(t, "caller", "55/v1")
	version(t, "55/v1", service)
	const hostile = `export LEFT4ME_ROOT=/etc LD_PRELOAD=/tmp/x.so LD_LIBRARY_PATH=/tmp PATH=/tmp TMPDIR=/etc GOTRACEBACK=crash GOMAXPROCS=1 GODEBUG=x=y LEFT4ME_OVERLAYTEST_KILL=entered NOTIFY_SOCKET=/tmp/x`
	for _, tt := range []struct {
		name, script string
		code         int
	}{
		{name: "55 closed descriptors", script: `exec "$@" <&- >&- 2>&-`},
		{name: "56 ten descriptors", script: `exec prlimit --nofile=10:10 "$@"`, code: 1},
		{name: "57 no file may grow", script: `exec prlimit --fsize=0:0 "$@"`, code: 1},
		{name: "58 umask 000", script: `umask 000; exec "$@"`},
		{name: "58 umask 777", script: `umask 777; exec "$@"`},
		{name: "59 deleted working directory", script: `d=$(mktemp -d); cd $d; rmdir $d; exec "$@"`},
		{name: "76 hostile environment", script: hostile + `; exec "$@"`},
		{name: "77 NoNewPrivileges", script: `exec setpriv --no-new-privs "$@"`},
		{name: "children ignored", script: `trap '' CHLD HUP PIPE TERM INT; exec "$@"`},
		{name: "a mount namespace of its own", script: `exec unshare --mount "$@"`},
		{name: "a read-only view of everything", script: `exec unshare --mount sh -c 'mount -o bind,ro / / && mount -t tmpfs -o ro x /run && mount -t tmpfs -o ro x /var/lib && exec "$@"' - "$@"`},
		{name: "inherited descriptors", script: `exec 5</ 6</proc/1/ns/mnt 7>/dev/null; cd /proc/self/fd; exec "$@"`},
		{name: "another name for itself", script: `exec -a '' "$@"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := func(verb string) result {
				return runHelper(t, exec.Command("bash", "-c", tt.script, "-", shipped, verb, "caller"))
			}
			want(t, 0, "purge", "caller")
			checkResult(t, tt.code, run("mount"), "mount")
			if m := mountsOf(t, "caller"); (len(m) == 1) != (tt.code == 0) {
				t.Errorf("mounts: %+v", m)
			}
			if _, err := os.Lstat(at("runtime/caller/applied")); (err == nil) != (tt.code == 0) {
				t.Errorf("record: %v", err)
			}
			if tt.code == 0 {
				for _, d := range []string{"", "merged"} { // merged is covered: the game's upper
					if st := stat(t, at("runtime/caller", d)); st.Mode&0o022 != 0 {
						t.Errorf("%q has mode %o", d, st.Mode)
					}
				}
				checkResult(t, 0, run("umount"), "umount")
			}
			want(t, 0, "umount", "caller")
			if m := mountsOf(t, "caller"); len(m) != 0 {
				t.Errorf("left: %+v", m)
			}
		})
	}
}

func TestHostileContent(t *testing.T) { // rows 60 to 63, 65
	server(t, "content", "60/v1", "60/v2")
	version(t, "60/v1", service)
	version(t, "60/v2", service)
	layer := at("overlays/60/v1")
	id, err := os.ReadFile("/usr/bin/id")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(layer, "id"), id, 0o755))
	for _, f := range []struct {
		name     string
		uid, gid int
	}{{"id-root", 0, 0}, {"id-service", service, service}} {
		must(t, os.WriteFile(filepath.Join(layer, f.name), id, 0o755))
		must(t, os.Chown(filepath.Join(layer, f.name), f.uid, f.gid))
		must(t, os.Chmod(filepath.Join(layer, f.name), 0o755|os.ModeSetuid|os.ModeSetgid))
	}
	must(t, unix.Mknod(filepath.Join(layer, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, os.Chmod(filepath.Join(layer, "null"), 0o666))
	must(t, mkdirAs(filepath.Join(layer, "opaque"), service))
	must(t, unix.Setxattr(filepath.Join(layer, "opaque"), "user.overlay.opaque", []byte("y"), 0))
	must(t, writeAs(at("overlays/60/v2/opaque/below"), "seen", service))
	must(t, mkdirAs(filepath.Join(layer, "redirected"), service))
	must(t, unix.Setxattr(filepath.Join(layer, "redirected"), "trusted.overlay.redirect", []byte("/cfg"), 0))
	must(t, writeAs(at("overlays/60/v2/redirected/x"), "x", service))
	must(t, os.Chmod(layer, 0)) // row 65
	want(t, 0, "mount", "content")
	must(t, os.Chmod(layer, 0o755))

	for _, prog := range []string{"id-root", "id-service"} {
		out, err := as(foreign, exec.Command(merged("content", prog), "-u")).CombinedOutput()
		if err == nil && strings.TrimSpace(string(out)) != fmt.Sprint(foreign) {
			t.Errorf("60: setuid %s ran as %s", prog, out)
		}
		out, err = as(game, exec.Command(merged("content", prog), "-u")).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(game) {
			t.Errorf("60: setuid %s run by the game: %s, %v", prog, out, err)
		}
	}
	if f, err := os.Open(merged("content", "null")); !errors.Is(err, unix.EACCES) {
		t.Errorf("61: a device node opened: %v, %v", f, err)
	}
	if b, err := os.ReadFile(merged("content", "opaque/below")); err != nil || string(b) != "seen" {
		t.Errorf("62: a forged opaque folder hides what is below: %q, %v", b, err)
	}
	if _, err := os.ReadDir(merged("content", "redirected")); !errors.Is(err, unix.EPERM) {
		t.Errorf("63: a forged redirect: %v, want EPERM", err)
	}
	if _, err := os.ReadFile(merged("content", "cfg/common")); err != nil {
		t.Error("63: the other folders suffer too:", err)
	}
}
