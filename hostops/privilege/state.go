package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ourNames are the entries of a state root. Whatever else lies in a folder, it
// was not made by left4me and is not given away.
var ourNames = []string{"installation", "overlays", "instances", "runtime", "workshop", "uploads", "builds", "steam", "tmp", "lost+found"}

func isOurs(name string) bool {
	return slices.Contains(ourNames, name) || strings.HasPrefix(name, "left4me") || strings.HasPrefix(name, ".left4me")
}

// giveState makes the state root and gives it to u where that is harmless.
func giveState(root string, u account) error {
	if root == "" {
		return nil
	}
	made, err := makeState(root)
	if err != nil {
		return err
	}
	var link unix.Stat_t
	if err := unix.Lstat(root, &link); err != nil {
		return refuse("the state folder %s cannot be looked at (%w)", root, err)
	}
	if link.Mode&unix.S_IFMT == unix.S_IFLNK && link.Uid != 0 {
		return refuse("the state folder %s is a symbolic link that root did not make; name the folder itself", root)
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return refuse("the state folder %s cannot be found (%w)", root, err)
	}
	fd, err := unix.Open(real, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return refuse("the state folder %s cannot be opened (%w)", root, err)
	}
	dir := os.NewFile(uintptr(fd), real)
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return refuse("the state folder %s cannot be looked at (%w)", root, err)
	}
	switch {
	case int(st.Uid) == u.uid:
		return nil
	case st.Uid != 0:
		return refuse("the state folder %s belongs to user %d, not to %s; name its owner as the user, or give the folder away with chown", root, st.Uid, u.name)
	}
	if !made {
		if err := onlyOurs(dir); err != nil {
			return err
		}
	}
	if err := chownTree(dir, u, 0); err != nil {
		return refuse("the state folder %s cannot be given to %s (%w)", root, u.name, err)
	}
	return nil
}

// makeState makes the state root; its parents stay root's.
func makeState(root string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return false, refuse("the state folder %s cannot be made (%w)", root, err)
	}
	err = os.Mkdir(root, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, refuse("the state folder %s cannot be made (%w)", root, err)
	}
	return true, nil
}

// onlyOurs refuses a folder that holds something else than left4me's.
func onlyOurs(dir *os.File) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return refuse("the state folder %s cannot be listed (%w)", dir.Name(), err)
	}
	for _, n := range names {
		if !isOurs(n) {
			return refuse("the state folder %s belongs to root and holds %q, which is not left4me's; use a folder of its own", dir.Name(), n)
		}
	}
	return nil
}

// maxDepth bounds the walk; nothing of ours is nearly as deep.
const maxDepth = 128

// chownTree gives dir, and what root owns below it, to u. Each entry is opened
// without following a link, looked at and changed by the same descriptor, so
// nothing can be exchanged in between. A file with a second name may be a file
// of somebody else's that was linked here: the walk ends there.
func chownTree(dir *os.File, u account, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s is nested too deep", dir.Name())
	}
	if _, err := dir.Seek(0, 0); err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := chownEntry(dir, name, u, depth); err != nil {
			return err
		}
	}
	return unix.Fchown(int(dir.Fd()), u.uid, u.gid)
}

func chownEntry(dir *os.File, name string, u account, depth int) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	full := filepath.Join(dir.Name(), name)
	switch {
	case st.Uid != 0:
		return nil // somebody else's, and so is what is below it
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		sub, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(sub), full)
		defer f.Close()
		return chownTree(f, u, depth+1)
	case st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFLNK:
		return fmt.Errorf("%s has a second name elsewhere", full)
	}
	return unix.Fchownat(fd, "", u.uid, u.gid, unix.AT_EMPTY_PATH)
}
