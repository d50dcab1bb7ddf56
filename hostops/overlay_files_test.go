package hostops

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// uploadOf makes the n-th upload of a test.
func uploadOf(t *testing.T, h *Host, n int, data []byte) string {
	t.Helper()
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	if err := os.MkdirAll(h.path(dirUploads), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path(dirUploads, id), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return id
}

// packed is a ZIP with these names, each of which is its content.
func packed(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// vpkOf is an add-on that the gate lets in: a directory of no files.
func vpkOf() []byte { return []byte("\x34\x12\xaa\x55\x01\x00\x00\x00\x01\x00\x00\x00\x00") }

func buildOf(t *testing.T, h *Host, spec ctl.OverlaySpec) error {
	t.Helper()
	spec.Kind = ctl.OverlayFiles
	_, err := h.BuildOverlay(t.Context(), 7, spec)
	return err
}

// filesOf is every file of a version, by its path; folders that are empty end with
// a slash.
func filesOf(t *testing.T, h *Host, version string) map[string]string {
	t.Helper()
	dir := h.path(dirOverlays, "7", version)
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if d.IsDir() {
			if entries, err := os.ReadDir(p); err != nil || len(entries) == 0 {
				files[rel+"/"] = ""
				return err
			}
			return nil
		}
		data, err := os.ReadFile(p)
		files[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFilesOverlay(t *testing.T) {
	h, _, rec := newHost(t)
	cfg := uploadOf(t, h, 1, []byte("sv_alltalk 1\n"))
	pack := uploadOf(t, h, 2, packed(t, "maps/a.bsp", "maps/b.bsp", "cfg/a.cfg"))
	addon := uploadOf(t, h, 3, vpkOf())
	err := buildOf(t, h, ctl.OverlaySpec{Changes: []ctl.FileChange{
		{Op: ctl.FilePut, Path: "left4dead2/cfg/server.cfg", Upload: cfg},
		{Op: ctl.FileUnpack, Upload: pack, Name: "pack.zip"},
		{Op: ctl.FileUnpack, Path: "left4dead2/extra", Upload: pack, Name: "pack.zip"},
		{Op: ctl.FilePut, Upload: addon, Name: "My Map.VPK"},
		{Op: ctl.FileMkdir, Path: "left4dead2/sound/own"},
		{Op: ctl.FileMove, Path: "left4dead2/maps/a.bsp", Target: "left4dead2/maps/old/a.bsp"},
		{Op: ctl.FileMove, Path: "left4dead2/extra/maps", Target: "left4dead2/more"},
		{Op: ctl.FileDelete, Path: "left4dead2/extra"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]string{
		"left4dead2/cfg/server.cfg":    "sv_alltalk 1\n",
		"left4dead2/cfg/a.cfg":         "cfg/a.cfg",
		"left4dead2/maps/b.bsp":        "maps/b.bsp",
		"left4dead2/maps/old/a.bsp":    "maps/a.bsp",
		"left4dead2/more/a.bsp":        "maps/a.bsp",
		"left4dead2/more/b.bsp":        "maps/b.bsp",
		"left4dead2/addons/My Map.VPK": string(vpkOf()),
		"left4dead2/sound/own/":        "",
	}
	if got := filesOf(t, h, "v1"); !reflect.DeepEqual(got, first) {
		t.Errorf("got  %q\nwant %q\n%s", got, first, rec.text())
	}
	// The next version shares what did not change, and leaves the first as it is.
	err = buildOf(t, h, ctl.OverlaySpec{Base: 1, Changes: []ctl.FileChange{
		{Op: ctl.FilePut, Path: "left4dead2/cfg/server.cfg", Upload: addon},
		{Op: ctl.FileUnpack, Path: ".", Upload: uploadOf(t, h, 4, packed(t, "left4dead2/maps/b.bsp", "left4dead2/maps/b.txt")), Name: "x.zip"},
		{Op: ctl.FileDelete, Path: "left4dead2/more"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := filesOf(t, h, "v1"); !reflect.DeepEqual(got, first) {
		t.Errorf("the published version is now %q", got)
	}
	second := filesOf(t, h, "v2")
	if len(second) != 7 || second["left4dead2/cfg/server.cfg"] != string(vpkOf()) || second["left4dead2/maps/b.bsp"] != "left4dead2/maps/b.bsp" {
		t.Errorf("the second version is %q", second)
	}
	same := func(name string) bool {
		a, errA := os.Stat(h.path(dirOverlays, "7/v1", name))
		b, errB := os.Stat(h.path(dirOverlays, "7/v2", name))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		return os.SameFile(a, b)
	}
	if !same("left4dead2/maps/old/a.bsp") || same("left4dead2/maps/b.bsp") || same("left4dead2/cfg/server.cfg") {
		t.Error("what did not change must be shared, and nothing else")
	}
	// Uploads stay until their owner forgets them.
	if _, err := os.Stat(h.path(dirUploads, cfg)); err != nil {
		t.Error(err)
	}
}

func TestFilesOverlayTellsOfArchives(t *testing.T) {
	h, _, _ := newHost(t)
	names := packed(t, "left4dead2/maps/XXXX.txt")
	names = bytes.ReplaceAll(names, []byte("XXXX"), []byte("\xb5\xd8\xcd\xbc"))
	err := buildOf(t, h, ctl.OverlaySpec{Changes: []ctl.FileChange{
		{Op: ctl.FileUnpack, Upload: uploadOf(t, h, 1, names), Name: "gbk.zip"},
		{Op: ctl.FileUnpack, Upload: uploadOf(t, h, 2, packed(t, "unknown.smx")), Name: "odd.zip"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.store().Manifest(7, 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range m.Findings {
		got = append(got, string(f.Verdict)+" "+f.Code+" "+f.Sentence)
	}
	want := []string{
		`warning archive.names Of "gbk.zip", 1 name of the archive did not say how they are written and were read as GBK.`,
		`warning archive.place Nothing in "odd.zip" says where it belongs, so it was unpacked at the top: move it to where the game looks, such as left4dead2/addons.`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if files := filesOf(t, h, "v1"); files["left4dead2/maps/地图.txt"] == "" || files["unknown.smx"] == "" {
		t.Errorf("files %q", files)
	}
}

func TestFilesOverlayNamesTheChangeThatFails(t *testing.T) {
	h, _, _ := newHost(t)
	up := uploadOf(t, h, 1, []byte("text"))
	bad := uploadOf(t, h, 2, packed(t, "../evil"))
	put := func(name string) ctl.FileChange { return ctl.FileChange{Op: ctl.FilePut, Path: name, Upload: up} }
	tests := map[string]struct {
		change ctl.FileChange
		kind   error
		want   string
	}{
		"no such upload":          {ctl.FileChange{Op: ctl.FilePut, Path: "x", Upload: "00000000-0000-4000-8000-00000000dead"}, ctl.ErrBadSpec, `change 2, put "x": the upload "00000000-0000-4000-8000-00000000dead" is not on this host any more: upload the file again`},
		"no upload's id":          {ctl.FileChange{Op: ctl.FilePut, Path: "x", Upload: "../instances/friday/spec.yaml"}, ctl.ErrBadSpec, `is not on this host any more`},
		"no place":                {ctl.FileChange{Op: ctl.FilePut, Upload: up, Name: "a.cfg"}, ctl.ErrBadSpec, `only an add-on (.vpk) finds its place by its name: say where "a.cfg" goes`},
		"put over a folder":       {put("d"), ctl.ErrBadSpec, `change 2, put "d": there is a folder called "d"`},
		"put below a file":        {put("d/f/x"), ctl.ErrBadSpec, `there is a file in the way of the folder "d/f"`},
		"folder over a file":      {ctl.FileChange{Op: ctl.FileMkdir, Path: "d/f"}, ctl.ErrBadSpec, `change 2, mkdir "d/f": there is a file in the way`},
		"move into itself":        {ctl.FileChange{Op: ctl.FileMove, Path: "d", Target: "d/e/d"}, ctl.ErrBadSpec, `change 2, move "d" to "d/e/d": a folder cannot be moved into itself`},
		"move onto another":       {ctl.FileChange{Op: ctl.FileMove, Path: "d/f", Target: "d"}, ctl.ErrBadSpec, `"d" is there already`},
		"move below a file":       {ctl.FileChange{Op: ctl.FileMove, Path: "d", Target: "g/d"}, ctl.ErrBadSpec, `there is no "d"`},
		"move nothing":            {ctl.FileChange{Op: ctl.FileMove, Path: "no", Target: "x"}, ctl.ErrBadSpec, `there is no "no": look at the files as they are now`},
		"delete nothing":          {ctl.FileChange{Op: ctl.FileDelete, Path: "d/f/x"}, ctl.ErrBadSpec, `change 2, delete "d/f/x": there is no "d/f/x"`},
		"an archive of a bad one": {ctl.FileChange{Op: ctl.FileUnpack, Upload: bad, Name: "bad.zip"}, ctl.ErrContent, `change 2, unpack "bad.zip": "../evil" leads out of its folder`},
		"no archive":              {ctl.FileChange{Op: ctl.FileUnpack, Upload: up, Name: "a.zip"}, ctl.ErrContent, `change 2, unpack "a.zip": the file is no archive that can be read`},
		"unpack below a file":     {ctl.FileChange{Op: ctl.FileUnpack, Path: "d/f", Upload: uploadOf(t, h, 3, packed(t, "x")), Name: "a.zip"}, ctl.ErrContent, `"d/f" is a folder in the archive and a file where it is unpacked`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			first := put("d/f")
			if name == "move below a file" {
				first = put("g")
			}
			err := buildOf(t, h, ctl.OverlaySpec{Changes: []ctl.FileChange{first, tt.change}})
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
			if entries, err := filepath.Glob(h.path(dirOverlays, "7", "*")); err != nil || len(entries) > 0 {
				t.Errorf("a build that failed left %q, %v", entries, err)
			}
		})
	}
}

func TestPathsThatAChangeMayLeaveOut(t *testing.T) {
	const id = "00000000-0000-4000-8000-000000000001"
	for _, tt := range []struct {
		c  ctl.FileChange
		ok bool
	}{
		{ctl.FileChange{Op: ctl.FileUnpack, Upload: id}, true},
		{ctl.FileChange{Op: ctl.FileUnpack, Upload: id, Path: "."}, true},
		{ctl.FileChange{Op: ctl.FilePut, Upload: id, Name: "a.vpk"}, true},
		{ctl.FileChange{Op: ctl.FilePut, Upload: id, Path: "."}, false},
		{ctl.FileChange{Op: ctl.FileMkdir}, false},
		{ctl.FileChange{Op: ctl.FileDelete, Path: "."}, false},
		{ctl.FileChange{Op: ctl.FileUnpack, Upload: id, Path: "../x"}, false},
	} {
		if err := checkChange(tt.c); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.c, err)
		}
	}
}

func TestFilesOverlayWaitsForNoUpload(t *testing.T) {
	h, _, _ := newHost(t)
	id := uploadOf(t, h, 1, []byte("half"))
	f, err := os.Open(h.path(dirUploads, id))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	err = buildOf(t, h, ctl.OverlaySpec{Changes: []ctl.FileChange{{Op: ctl.FilePut, Path: "x", Upload: id}}})
	if !errors.Is(err, ctl.ErrBusy) || !strings.Contains(err.Error(), "its upload is still arriving") {
		t.Errorf("got %v", err)
	}
}

func TestFilesOverlayOfAMissingBase(t *testing.T) {
	h, _, _ := newHost(t)
	if err := buildOf(t, h, ctl.OverlaySpec{Base: 3}); !errors.Is(err, ctl.ErrNoOverlay) || !strings.Contains(err.Error(), "7/v3") {
		t.Errorf("got %v", err)
	}
}

func TestFilesOverlayCancelled(t *testing.T) {
	h, _, _ := newHost(t)
	id := uploadOf(t, h, 1, []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	spec := ctl.OverlaySpec{Kind: ctl.OverlayFiles, Changes: []ctl.FileChange{{Op: ctl.FilePut, Path: "x", Upload: id}}}
	if _, err := h.BuildOverlay(ctx, 7, spec); !errors.Is(err, ctl.ErrCancelled) {
		t.Errorf("got %v", err)
	}
}

func TestFilesOverlayFromAFolder(t *testing.T) {
	h, _, _ := newHost(t)
	own := t.TempDir()
	writeFile(t, filepath.Join(own, "left4dead2/cfg/a.cfg"), "a")
	writeFile(t, filepath.Join(own, "run.sh"), "sh")
	if err := errors.Join(
		os.Chmod(filepath.Join(own, "run.sh"), 0o4755),
		os.Symlink("a.cfg", filepath.Join(own, "left4dead2/cfg/b.cfg")),
		os.Mkdir(filepath.Join(own, "empty"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	id := uploadOf(t, h, 1, []byte("new"))
	if err := buildOf(t, h, ctl.OverlaySpec{From: own, Changes: []ctl.FileChange{{Op: ctl.FilePut, Path: "left4dead2/cfg/a.cfg", Upload: id}}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"left4dead2/cfg/a.cfg": "new", "left4dead2/cfg/b.cfg": "a", "run.sh": "sh", "empty/": ""}
	if got := filesOf(t, h, "v1"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if info, err := os.Lstat(h.path(dirOverlays, "7/v1/run.sh")); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if data, err := os.ReadFile(filepath.Join(own, "left4dead2/cfg/a.cfg")); err != nil || string(data) != "a" {
		t.Errorf("the operator's own file is now %q, %v", data, err)
	}
}

func TestAttack1LinksInAnOperatorsFolder(t *testing.T) {
	h, _, _ := newHost(t)
	writeFile(t, h.path(dirInstances, "friday/spec.yaml"), "rcon_password: secret1234")
	secret := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, "secret")
	plants := map[string]struct {
		plant func(dir string) error
		want  string
	}{
		"absolute link": {func(dir string) error { return os.Symlink(secret, filepath.Join(dir, "x")) }, `"x" is a link that leads out of the folder or nowhere`},
		"link up": {func(dir string) error {
			return os.Symlink("../../../../../../../../etc/passwd", filepath.Join(dir, "x"))
		}, `"x" is a link that leads out`},
		"link to itself": {func(dir string) error { return os.Symlink("x", filepath.Join(dir, "x")) }, `"x" is a link that leads out of the folder or nowhere`},
		"linked folder":  {func(dir string) error { return os.Symlink(".", filepath.Join(dir, "x")) }, `"x" is a link to something that is no file`},
		"fifo":           {func(dir string) error { return unix.Mkfifo(filepath.Join(dir, "x"), 0o644) }, `"x" is neither a file nor a folder`},
		"link to fifo": {func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "w"), 0o755), os.Symlink("y", filepath.Join(dir, "x")), unix.Mkfifo(filepath.Join(dir, "y"), 0o644))
		}, `"x" is a link to something that is no file`},
	}
	for name, tt := range plants {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := tt.plant(dir); err != nil {
				t.Fatal(err)
			}
			err := buildOf(t, h, ctl.OverlaySpec{From: dir})
			if !errors.Is(err, ctl.ErrContent) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
		})
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(h.path(dirInstances), link); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{h.Root, h.path(dirInstances), filepath.Dir(h.Root), "/", link} {
		if err := buildOf(t, h, ctl.OverlaySpec{From: from}); !errors.Is(err, ctl.ErrBadSpec) || !strings.Contains(err.Error(), "left4me's own files") {
			t.Errorf("from %s: %v", from, err)
		}
	}
	if err := buildOf(t, h, ctl.OverlaySpec{From: filepath.Join(h.Root, "no")}); !errors.Is(err, ctl.ErrBadSpec) || !strings.Contains(err.Error(), "cannot be opened") {
		t.Errorf("got %v", err)
	}
}

// A folder of the operator's is swapped for a link to elsewhere, again and again,
// while it is copied.
func TestAttack2SwapInAnOperatorsFolder(t *testing.T) {
	h, _, _ := newHost(t)
	elsewhere := t.TempDir()
	writeFile(t, filepath.Join(elsewhere, "x"), "secret")
	own := t.TempDir()
	for i := range 30 {
		writeFile(t, filepath.Join(own, "d", fmt.Sprint(i), "x"), "mine")
	}
	stop := swapping(filepath.Join(own, "d", "15"), elsewhere)
	for range 20 {
		_ = buildOf(t, h, ctl.OverlaySpec{From: own}) // may fail; must not follow
	}
	stop()
	notFromElsewhere(t, h)
}

func TestAttack4ArchiveWithALinkInAnUpload(t *testing.T) {
	h, _, _ := newHost(t)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	head := &zip.FileHeader{Name: "addons/x.vpk"}
	head.SetMode(fs.ModeSymlink | 0o777)
	f, err := w.CreateHeader(head)
	if err == nil {
		_, err = f.Write([]byte("/etc/passwd"))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	err = buildOf(t, h, ctl.OverlaySpec{Changes: []ctl.FileChange{{Op: ctl.FileUnpack, Upload: uploadOf(t, h, 1, b.Bytes()), Name: "x.zip"}}})
	if !errors.Is(err, ctl.ErrContent) || !strings.Contains(err.Error(), `"addons/x.vpk" in the archive is a symbolic link`) {
		t.Errorf("got %v", err)
	}
}

// An upload is a name below uploads/, and only a file of ours.
func TestAttack1LinksAmongUploads(t *testing.T) {
	h, _, _ := newHost(t)
	id := uploadOf(t, h, 1, nil)
	path := h.path(dirUploads, id)
	for name, plant := range map[string]func() error{
		"link":   func() error { return os.Symlink("/etc/passwd", path) },
		"fifo":   func() error { return unix.Mkfifo(path, 0o644) },
		"folder": func() error { return os.Mkdir(path, 0o755) },
	} {
		if err := errors.Join(os.RemoveAll(path), plant()); err != nil {
			t.Fatal(err)
		}
		err := buildOf(t, h, ctl.OverlaySpec{Changes: []ctl.FileChange{{Op: ctl.FilePut, Path: "x", Upload: id}}})
		if !errors.Is(err, ctl.ErrBadSpec) || !strings.Contains(err.Error(), "is not on this host any more") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// An upload is swapped for a link to elsewhere, again and again, while versions are
// made of it.
func TestAttack2SwapAmongUploads(t *testing.T) {
	h, _, _ := newHost(t)
	id := uploadOf(t, h, 1, []byte("mine"))
	elsewhere := filepath.Join(t.TempDir(), "x")
	writeFile(t, elsewhere, "secret")
	stop := swapping(h.path(dirUploads, id), elsewhere)
	for i := range 40 {
		// May fail; must not follow.
		_ = buildOf(t, h, ctl.OverlaySpec{Why: fmt.Sprint(i), Changes: []ctl.FileChange{
			{Op: ctl.FilePut, Path: fmt.Sprint(i), Upload: id}, {Op: ctl.FilePut, Path: "x", Upload: id},
		}})
	}
	stop()
	notFromElsewhere(t, h)
}

// swapping exchanges a path for a link to elsewhere and back until it is stopped.
func swapping(path, elsewhere string) (stop func()) {
	done := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			// Each of them fails now and then; that is the race.
			_ = os.Rename(path, path+".aside")
			_ = os.Symlink(elsewhere, path)
			_ = os.Remove(path)
			_ = os.Rename(path+".aside", path)
		}
	})
	return func() {
		close(done)
		swapper.Wait()
	}
}

// notFromElsewhere looks for a secret in every version of overlay 7.
func notFromElsewhere(t *testing.T, h *Host) {
	t.Helper()
	versions, err := filepath.Glob(h.path(dirOverlays, "7", "v*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		if strings.HasSuffix(v, ".json") {
			continue
		}
		for name, text := range filesOf(t, h, filepath.Base(v)) {
			if text == "secret" {
				t.Errorf("%s of %s came from elsewhere", name, filepath.Base(v))
			}
		}
	}
}
