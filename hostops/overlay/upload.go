package overlay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Uploads lie below uploads/, each named by its id. A person's upload is resumed
// by its length, so what is there is always its beginning.

var uploadPattern = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\z`)

// reserve is what uploads leave free on the disk: games and their logs need some.
const reserve = 1 << 30

// Append writes a chunk of an upload at offset and returns how many bytes the
// upload has then, also when it fails half way. An offset below what is there
// begins again from it; one beyond is refused. Errors: ctl.ErrBusy while another
// chunk of it is being written, ctl.ErrDiskFull.
func (s *Store) Append(upload string, offset int64, chunk io.Reader) (int64, error) {
	path, err := s.upload(upload)
	if err != nil {
		return 0, err
	}
	if err := os.Mkdir(s.path(dirUploads), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return 0, full(fmt.Errorf("make the folder of uploads: %w", err))
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return 0, full(fmt.Errorf("open the upload: %w", err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return 0, fail(ctl.ErrBusy, "another part of this upload is being written: wait for it")
	}
	size, err := appendTo(f, offset, chunk)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return size, full(err)
}

func appendTo(f *os.File, offset int64, chunk io.Reader) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	switch {
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("write the upload: it is no regular file")
	case offset < 0 || offset > info.Size():
		return info.Size(), fail(ctl.ErrUsage, "this part begins at byte %d, but the upload has %d bytes: go on from there", offset, info.Size())
	}
	if err := f.Truncate(offset); err != nil {
		return info.Size(), err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return offset, err
	}
	n, err := io.Copy(f, chunk)
	if err != nil {
		return offset + n, fmt.Errorf("write the upload: %w", err)
	}
	return offset + n, nil
}

// full says a full disk in a sentence and leaves other errors alone.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fail(ctl.ErrDiskFull, "the host's disk is full: the upload can go on when there is room again")
	}
	return err
}

// OpenUpload opens an upload for reading.
func (s *Store) OpenUpload(upload string) (File, error) {
	path, err := s.upload(upload)
	if err != nil {
		return nil, err
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	return regular(f, upload)
}

// RemoveUpload forgets an upload; one that is not there is no error.
func (s *Store) RemoveUpload(upload string) error {
	path, err := s.upload(upload)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the upload: %w", err)
	}
	return nil
}

// Uploads lists the ids of all uploads with when each was last written to.
func (s *Store) Uploads() (map[string]fs.FileInfo, error) {
	entries, err := os.ReadDir(s.path(dirUploads))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the uploads: %w", err)
	}
	all := map[string]fs.FileInfo{}
	for _, e := range entries {
		if !uploadPattern.MatchString(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil { // one that is gone again needs no mention
			all[e.Name()] = info
		}
	}
	return all, nil
}

// upload is where an upload lies. An id that is none is fs.ErrNotExist.
func (s *Store) upload(id string) (string, error) {
	if !uploadPattern.MatchString(id) {
		return "", missing(clip(id))
	}
	return s.path(dirUploads, id), nil
}

// Room is how many bytes uploads may still take on the host's disk.
func (s *Store) Room() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.Root, &st); err != nil {
		return 0, fmt.Errorf("look how much room there is: %w", err)
	}
	return max(int64(st.Bavail)*st.Bsize-reserve, 0), nil
}
