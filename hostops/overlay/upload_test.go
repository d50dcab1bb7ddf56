package overlay_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
)

const upload = "0192f0c1-0000-7000-8000-000000000001"

func TestUploadsGrowInParts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	appends := []struct {
		offset int64
		chunk  string
		size   int64
		err    error
	}{
		{0, "hello ", 6, nil},
		{6, "world", 11, nil},
		{20, "far", 11, ctl.ErrUsage},
		{-1, "x", 11, ctl.ErrUsage},
		{6, "World!", 12, nil}, // a part whose answer was lost comes again
		{5, "", 5, nil},
		{5, " you", 9, nil},
	}
	for _, a := range appends {
		size, err := s.Append(upload, a.offset, strings.NewReader(a.chunk))
		if size != a.size || !errors.Is(err, a.err) {
			t.Errorf("%q at %d: %d, %v; want %d, %v", a.chunk, a.offset, size, err, a.size, a.err)
		}
	}
	// A sender that goes away leaves what came, so that it can go on from there.
	broken := io.MultiReader(strings.NewReader("+"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if size, err := s.Append(upload, 9, broken); size != 10 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken part: %d, %v", size, err)
	}
	f, err := s.OpenUpload(upload)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "hello you+" || f.Size() != 10 {
		t.Errorf("it is %q, %v", data, err)
	}
	if info, err := os.Stat(filepath.Join(s.Root, "uploads", upload)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("it is %v, %v", info, err)
	}
	if all, err := s.Uploads(); err != nil || len(all) != 1 || all[upload] == nil {
		t.Errorf("the uploads are %v, %v", all, err)
	}
	for range 2 {
		if err := s.RemoveUpload(upload); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.OpenUpload(upload); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed, and yet %v", err)
	}
}

func TestAnUploadIsWrittenByOneAtATime(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in, out := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := s.Append(upload, 0, in)
		first <- err
	}()
	if _, err := out.Write([]byte("one")); err != nil { // it has the upload now
		t.Fatal(err)
	}
	if _, err := s.Append(upload, 0, strings.NewReader("two")); !errors.Is(err, ctl.ErrBusy) {
		t.Errorf("a second at the same time: %v", err)
	}
	if err := errors.Join(out.Close(), <-first); err != nil {
		t.Error(err)
	}
	if size, err := s.Append(upload, 3, strings.NewReader("!")); size != 4 || err != nil {
		t.Errorf("afterwards: %d, %v", size, err)
	}
}

func TestAttack1UploadsAreNoLinks(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	outside, untouched := victim(t)
	if err := errors.Join(os.Mkdir(filepath.Join(s.Root, "uploads"), 0o700), os.Symlink(outside+"/secret", filepath.Join(s.Root, "uploads", upload))); err != nil {
		t.Fatal(err)
	}
	if size, err := s.Append(upload, 0, strings.NewReader("mine")); err == nil {
		t.Errorf("%d bytes were written through a link", size)
	}
	if f, err := s.OpenUpload(upload); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link was opened: %v, %v", f, err)
	}
	if err := s.RemoveUpload(upload); err != nil {
		t.Error(err)
	}
	untouched()
	if err := unix.Mkfifo(filepath.Join(s.Root, "uploads", upload), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := s.OpenUpload(upload); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a FIFO was opened: %v, %v", f, err)
	}
	if size, err := s.Append(upload, 0, strings.NewReader("x")); err == nil {
		t.Errorf("%d bytes were written into a FIFO", size)
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var st unix.Statfs_t
	if err := unix.Statfs(s.Root, &st); err != nil {
		t.Fatal(err)
	}
	if room, err := s.Room(); err != nil || room < 0 || room > int64(st.Blocks)*st.Bsize {
		t.Errorf("room for %d bytes, %v", room, err)
	}
	if _, err := (&overlay.Store{Root: s.Root + "/missing"}).Room(); err == nil {
		t.Error("a folder that is not there has room")
	}
}

// A disk that is full says so, and what was written is still there to go on from.
func TestUploadOnAFullDisk(t *testing.T) {
	needRoot(t, "to mount a small disk")
	t.Parallel()
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=64k"); err != nil {
		if errors.Is(err, unix.EPERM) && os.Getenv("CI") == "" {
			t.Skip("this root may not mount anything")
		}
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	}()
	s := &overlay.Store{Root: root}
	size, err := s.Append(upload, 0, strings.NewReader(strings.Repeat("x", 1<<20)))
	if !errors.Is(err, ctl.ErrDiskFull) || !strings.Contains(err.Error(), "disk is full") || size <= 0 || size > 64<<10 {
		t.Errorf("%d bytes, %v", size, err)
	}
	if room, err := s.Room(); room != 0 || err != nil {
		t.Errorf("room for %d bytes, %v", room, err)
	}
}
