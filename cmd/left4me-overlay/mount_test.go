package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

const generated = "@0123456789ab"

func TestMountShowsTheLayersAsTheGames(t *testing.T) {
	server(t, "story", generated, "1/v1", "2/v7", "3/v1")
	version(t, "1/v1", service)
	version(t, "2/v7", build)
	version(t, "3/v1", 0)
	must(t, writeAs(at("instances/story/layers/0123456789ab/cfg/server.cfg"), "secret", service))
	must(t, os.Chmod(at("instances/story/layers/0123456789ab/cfg/server.cfg"), 0o600))
	want(t, 0, "mount", "story")

	mounts := mountsOf(t, "story")
	source := overlayhelper.Source("story", []overlayhelper.Layer{generated, "1/v1", "2/v7", "3/v1"})
	if len(mounts) != 1 || mounts[0].Source != source || mounts[0].Point != merged("story") {
		t.Fatalf("mount table: %+v; want %s on %s alone", mounts, source, merged("story"))
	}
	for file, text := range map[string]string{
		"srcds_linux": "game", "cfg/server.cfg": "secret", "cfg/common": "1/v1",
		"cfg/layer-1-v1": "1/v1", "cfg/layer-2-v7": "2/v7", "cfg/layer-3-v1": "3/v1",
	} {
		b, err := os.ReadFile(merged("story", file))
		if err != nil || string(b) != text {
			t.Errorf("%s: %q, %v; want %q", file, b, err, text)
		}
		uid := uint32(game)
		if file == "cfg/layer-3-v1" {
			uid = 0
		}
		if st := stat(t, merged("story", file)); st.Uid != uid {
			t.Errorf("%s belongs to %d, want %d", file, st.Uid, uid)
		}
	}
	record, err := os.ReadFile(at("runtime/story/applied"))
	must(t, err)
	if layers, err := overlayhelper.ParseApplied("story", record); err != nil || len(layers) != 4 {
		t.Errorf("applied: %q, %v", layers, err)
	}
	// What the game writes lands in upper as its own; the service user reads it
	// and cannot write.
	sh(t, game, `set -e; cd `+merged("story")+`; echo x >>cfg/layer-2-v7; echo y >new.log; chmod 640 srcds_linux; mv cfg/common cfg/moved; rm cfg/server.cfg; mkdir -p logs/a; echo z >logs/a/b`)
	for file, text := range map[string]string{"cfg/layer-2-v7": "2/v7x\n", "new.log": "y\n", "cfg/moved": "1/v1", "logs/a/b": "z\n"} {
		b, err := os.ReadFile(at("runtime/story/upper", file))
		if err != nil || string(b) != text {
			t.Errorf("upper/%s: %q, %v; want %q", file, b, err, text)
		}
	}
	sh(t, service, `set -e; cd `+at("runtime/story/upper")+`; cat new.log logs/a/b cfg/layer-2-v7; ! touch x; ! echo >>new.log; ! rm new.log; ! touch logs/x`)
	if out := tryShell(foreign, `cat `+at("runtime/story/upper/new.log")+` `+merged("story", "new.log")); !strings.Contains(out, "exit status") {
		t.Errorf("a stranger reads what the game wrote: %s", out)
	}
	if b, err := os.ReadFile(at("overlays/2/v7/cfg/layer-2-v7")); err != nil || string(b) != "2/v7" {
		t.Errorf("the layer was changed: %q, %v", b, err)
	}
	want(t, 0, "umount", "story")
	if left := mountsOf(t, "story"); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	if _, err := os.Lstat(at("runtime/story/applied")); err == nil {
		t.Error("the record is still there after umount")
	}
}

func TestFoldersHaveTheirOwners(t *testing.T) {
	server(t, "owners")
	want(t, 0, "mount", "owners")
	want(t, 0, "umount", "owners")
	for name, is := range map[string]struct{ uid, gid, mode uint32 }{
		"":       {0, 0, 0o755},
		"upper":  {game, service, 0o2750},
		"work":   {0, 0, 0o700},
		"merged": {0, 0, 0o755},
		"anchor": {0, 0, 0o700},
	} {
		st := stat(t, at("runtime/owners", name))
		if st.Uid != is.uid || st.Gid != is.gid || st.Mode&0o7777 != is.mode {
			t.Errorf("runtime/owners/%s: %d:%d %04o, want %+v", name, st.Uid, st.Gid, st.Mode&0o7777, is)
		}
	}
}

func stat(t testing.TB, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return st
}

// sh runs a script as the user and fails the test if it fails.
func sh(t testing.TB, uid uint32, script string) {
	t.Helper()
	if out, err := as(uid, exec.Command("sh", "-c", script)).CombinedOutput(); err != nil {
		t.Fatalf("as %d: %s\n%v\n%s", uid, script, err, out)
	}
}

// tryShell returns what the script printed and how it ended.
func tryShell(uid uint32, script string) string {
	out, err := as(uid, exec.Command("sh", "-c", script)).CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	return string(out)
}
