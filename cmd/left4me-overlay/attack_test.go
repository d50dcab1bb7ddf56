package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// attack_test.go holds the rows of the helper's attack list (its numbers are
// those of the tests' names) that end in a refusal: an exit code, one sentence,
// no mount, and nothing of the victim's in sight.

const secret = "the victim's secret"

// victim makes a folder with a secret and returns it with a check that nothing
// happened to it.
func victim(t testing.TB) (string, func()) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(dirPrograms, "victim"), "")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	for _, d := range []string{"cfg", "v1/cfg"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, d, "common"), []byte(secret), 0o644))
	}
	before := tree(t, dir)
	return dir, func() {
		t.Helper()
		if after := tree(t, dir); after != before {
			t.Errorf("the victim was changed:\n%s\nwas\n%s", after, before)
		}
		for _, e := range hostTable(t) {
			if e.Point == dir || e.Below(dir) {
				t.Errorf("something is mounted on the victim: %+v", e)
			}
		}
	}
}

// tree lists a folder with owners and modes.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil {
			st := stat(t, path)
			fmt.Fprintf(&b, "%s %o %d:%d\n", path, st.Mode, st.Uid, st.Gid)
		}
		return err
	}))
	return b.String()
}

func TestAttackCommandLine(t *testing.T) { // rows 1 to 19
	needHost(t)
	before := len(hostTable(t))
	for _, args := range [][]string{
		{"mount", "../x"},
		{"mount", "a/b"},
		{"mount", ""},
		{"mount", "."},
		{"mount", ".."},
		{"mount", "-h"},
		{"mount", "--help"},
		{"mount", "a\nb"},
		{"mount", "a\n"},
		{"mount", "A"},
		{"mount", "a b"},
		{"mount", "ü"},
		{"mount", strings.Repeat("a", 49)},
		{"mount", "/etc"},
		{"mount", "a;id"},
		{"mount", "$(id)"},
		{"umount", "../x"},
		{"purge", ".."},
		{"purge", ""},
		{"purge", "/"},
		{"purge", "a/../.."},
		{"mount", "a", "b"},
		{"mount", "a", "-o"},
		{"mount"},
		{},
		{"bind", "a"},
		{"--help"},
		{"--version"},
		{"", "a"},
		{"Mount", "a"},
	} {
		want(t, 2, args...)
	}
	if after := len(hostTable(t)); after != before {
		t.Errorf("%d mounts became %d", before, after)
	}
}

func TestAttackNotRoot(t *testing.T) { // row 20
	server(t, "notroot")
	for _, uid := range []uint32{service, game, foreign} {
		for _, verb := range []string{"mount", "umount", "purge"} {
			r := runHelper(t, as(uid, exec.Command(shipped, verb, "notroot")))
			checkResult(t, 2, r, verb)
		}
	}
}

// attackRow is one hostile arrangement and what the helper must say to it.
type attackRow struct {
	name    string // begins with the numbers of the attack list
	layers  []string
	arrange func(t *testing.T, name, victim string)
	mount   int
	umount  int
}

func TestAttackFolders(t *testing.T) {
	needHost(t)
	swap := func(entry string) func(*testing.T, string, string) {
		return func(t *testing.T, name, victim string) {
			must(t, mkdirAs(at("runtime", name), 0))
			must(t, os.Symlink(victim, at("runtime", name, entry)))
		}
	}
	for _, row := range []attackRow{
		{name: "21-22 merged is a symlink", arrange: swap("merged"), mount: 1, umount: 1},
		{name: "23-24 runtime NAME is a symlink", mount: 1, umount: 1, arrange: func(t *testing.T, name, victim string) {
			must(t, os.Symlink(victim, at("runtime", name)))
		}},
		{name: "25 runtime NAME is the service user's", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, mkdirAs(at("runtime", name), service))
		}},
		{name: "25 runtime NAME is the game's", mount: 3, umount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, mkdirAs(at("runtime", name), game))
		}},
		{name: "26 upper is a symlink", arrange: swap("upper"), mount: 1},
		{name: "27 work is a symlink", arrange: swap("work"), mount: 1},
		{name: "27 anchor is a symlink", arrange: swap("anchor"), mount: 1},
		{name: "26 upper is a stranger's", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, mkdirAs(at("runtime", name), 0))
			must(t, mkdirAs(at("runtime", name, "upper"), foreign))
		}},
		{name: "27 work is the game's", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, mkdirAs(at("runtime", name), 0))
			must(t, mkdirAs(at("runtime", name, "work"), game))
		}},
		{name: "26 upper is a bind of the victim", mount: 1, arrange: func(t *testing.T, name, victim string) {
			must(t, mkdirAs(at("runtime", name, "upper"), 0))
			bind(t, victim, at("runtime", name, "upper"))
		}},
		{name: "74 runtime is the service user's", mount: 3, arrange: func(t *testing.T, _, _ string) {
			must(t, os.Chown(at("runtime"), service, service))
			t.Cleanup(func() { must(t, os.Chown(at("runtime"), 0, 0)) })
		}},
		{name: "74 runtime is writable by a group", mount: 3, arrange: func(t *testing.T, _, _ string) {
			must(t, os.Chmod(at("runtime"), 0o775))
			t.Cleanup(func() { must(t, os.Chmod(at("runtime"), 0o755)) })
		}},
		{name: "46-47 unknown instance", mount: 1, arrange: func(t *testing.T, name, _ string) {
			must(t, os.RemoveAll(at("instances", name)))
		}},
		{name: "41 the instance is a symlink", mount: 3, arrange: func(t *testing.T, name, victim string) {
			must(t, os.RemoveAll(at("instances", name)))
			must(t, os.Symlink(victim, at("instances", name)))
		}},
	} {
		row.run(t)
	}
}

func TestAttackLayers(t *testing.T) {
	needHost(t)
	line := func(text string) func(*testing.T, string, string) {
		return func(t *testing.T, name, _ string) {
			must(t, os.WriteFile(at("instances", name, "mount"), []byte(text), 0o644))
		}
	}
	var many strings.Builder
	for i := range 600 {
		fmt.Fprintf(&many, "%d/v1\n", i)
	}
	rows := []attackRow{
		{name: "28 overlay is a symlink", layers: []string{"28/v1"}, mount: 3, arrange: func(t *testing.T, _, victim string) {
			must(t, mkdirAs(at("overlays/28"), service))
			must(t, os.Symlink(victim, at("overlays/28/v1")))
		}},
		{name: "28 the folder of the versions is a symlink", layers: []string{"281/v1"}, mount: 3, arrange: func(t *testing.T, _, victim string) {
			must(t, os.Symlink(victim, at("overlays/281")))
		}},
		{name: "28 the generated layer is a symlink", layers: []string{generated}, mount: 3, arrange: func(t *testing.T, name, victim string) {
			must(t, mkdirAs(at("instances", name, "layers"), service))
			must(t, os.Symlink(victim, at("instances", name, "layers", generated[1:])))
		}},
		{name: "29 overlay is writable by everybody", layers: []string{"29/v1"}, mount: 3, arrange: func(t *testing.T, _, _ string) {
			version(t, "29/v1", service)
			must(t, os.Chmod(at("overlays/29/v1"), 0o777))
		}},
		{name: "30 overlay is a stranger's", layers: []string{"30/v1"}, mount: 3, arrange: func(t *testing.T, _, _ string) {
			version(t, "30/v1", foreign)
		}},
		{name: "30 overlay is the game's", layers: []string{"30/v2"}, mount: 3, arrange: func(t *testing.T, _, _ string) {
			version(t, "30/v2", game)
		}},
		{name: "31 overlay is a file", layers: []string{"31/v1"}, mount: 3, arrange: func(t *testing.T, _, _ string) {
			must(t, writeAs(at("overlays/31/v1"), "", service))
		}},
		{name: "32 overlay is a bind", layers: []string{"32/v1"}, mount: 3, arrange: func(t *testing.T, _, victim string) {
			version(t, "32/v1", service)
			bind(t, victim, at("overlays/32/v1"))
		}},
		{name: "32 overlay is a bind of its own file system", layers: []string{"32/v2"}, mount: 3, arrange: func(t *testing.T, _, _ string) {
			version(t, "32/v2", service)
			bind(t, at("installation"), at("overlays/32/v2"))
		}},
		{name: "45 600 layers", arrange: line(many.String()), mount: 3},
		{name: "45 a missing layer", layers: []string{"45/v9"}, mount: 1},
		{name: "42 list is a FIFO", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, os.Remove(at("instances", name, "mount")))
			must(t, unix.Mkfifo(at("instances", name, "mount"), 0o644))
			must(t, os.Chown(at("instances", name, "mount"), service, service))
		}},
		{name: "43 list is 5 GB", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, os.Truncate(at("instances", name, "mount"), 5<<30))
		}},
		{name: "44 list is root's", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, os.Chown(at("instances", name, "mount"), 0, 0))
		}},
		{name: "44 list is the game's", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, os.Chown(at("instances", name, "mount"), game, game))
		}},
		{name: "44 list is writable by everybody", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, os.Chmod(at("instances", name, "mount"), 0o666))
		}},
		{name: "41 list is a folder", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, os.Remove(at("instances", name, "mount")))
			must(t, mkdirAs(at("instances", name, "mount"), service))
		}},
		{name: "41 list is a socket", mount: 3, arrange: func(t *testing.T, name, _ string) {
			must(t, os.Remove(at("instances", name, "mount")))
			must(t, unix.Mknod(at("instances", name, "mount"), unix.S_IFSOCK|0o644, 0))
			must(t, os.Chown(at("instances", name, "mount"), service, service))
		}},
		{name: "46 no list", mount: 1, arrange: func(t *testing.T, name, _ string) {
			must(t, os.Remove(at("instances", name, "mount")))
		}},
	}
	for i, text := range []string{"../../etc\n", "a:b\n", "a,b\n", "a\\b\n", "1/sub\n", "..\n", "\n", "1/v1\n1/v1\n", "1/v1\r\n", "/etc\n", " 1/v1\n", "1/v1\x00\n", "@../../../etc1\n", "1/v1/..\n"} {
		rows = append(rows, attackRow{name: fmt.Sprintf("33-40 line %d %q", i, text), arrange: line(text), mount: 3})
	}
	for _, row := range rows {
		row.run(t)
	}
}

func (row attackRow) run(t *testing.T) {
	t.Helper()
	t.Run(row.name, func(t *testing.T) {
		name := "attacked"
		server(t, name, row.layers...)
		dir, untouched := victim(t)
		t.Cleanup(func() { // before the server's own, which expects a sane one
			must(t, os.RemoveAll(at("runtime", name)))
			for _, l := range row.layers {
				must(t, os.RemoveAll(at("overlays", strings.Split(l, "/")[0])))
			}
		})
		if row.arrange != nil {
			row.arrange(t, name, dir)
		}
		before := len(mountsOf(t, name)) // binds that the row itself made
		r := want(t, row.mount, "mount", name)
		if strings.Contains(r.stderr, secret) || strings.Contains(r.stderr, "etc1") {
			t.Errorf("the sentence quotes what was read: %s", r)
		}
		if r.took.Seconds() > 2 {
			t.Errorf("refused only after %s", r.took)
		}
		if after := mountsOf(t, name); len(after) != before {
			t.Errorf("refused, but there are mounts: %+v", after)
		}
		untouched()
		want(t, row.umount, "umount", name)
		untouched()
	})
}

// bind binds from over to on the host until the test ends.
func bind(t *testing.T, from, to string) {
	t.Helper()
	onHost(t, "mount", "--bind", from, to)
	t.Cleanup(func() { onHost(t, "umount", to) })
}

// 41: a list that is a symlink to a secret file is refused, and not a letter of
// it is printed.
func TestAttackListIsASymlink(t *testing.T) {
	server(t, "list-link")
	dir, untouched := victim(t)
	file := filepath.Join(dir, "shadow")
	must(t, os.WriteFile(file, []byte(secret), 0o600))
	must(t, os.Chown(file, service, service))
	must(t, os.Remove(at("instances/list-link/mount")))
	must(t, os.Symlink(file, at("instances/list-link/mount")))
	if r := want(t, 3, "mount", "list-link"); strings.Contains(r.stderr, "secret") {
		t.Errorf("printed: %s", r)
	}
	must(t, os.Remove(file))
	untouched()
}

// 48, 49: somebody else's mount on merged is left alone.
func TestAttackForeignMount(t *testing.T) {
	server(t, "theirs")
	dir, untouched := victim(t)
	want(t, 0, "mount", "theirs")
	want(t, 0, "umount", "theirs")
	onHost(t, "mount", "--bind", dir, merged("theirs"))
	for range 2 {
		want(t, 5, "mount", "theirs")
		want(t, 3, "umount", "theirs")
		want(t, 6, "purge", "theirs")
	}
	if m := mountsOf(t, "theirs"); len(m) != 1 {
		t.Errorf("mounts: %+v, want theirs alone", m)
	}
	onHost(t, "umount", merged("theirs"))
	untouched()
	// Another server's overlay is not ours either.
	server(t, "other")
	want(t, 0, "mount", "other")
	onHost(t, "mount", "--bind", merged("other"), merged("theirs"))
	want(t, 5, "mount", "theirs")
	want(t, 3, "umount", "theirs")
	onHost(t, "umount", merged("theirs"))
}
