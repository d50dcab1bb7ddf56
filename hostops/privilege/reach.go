package privilege

import (
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// asUser does f with u's ids for the file system on this thread. Root's rights
// over files go with the id and come back with it.
func asUser(u account, f func()) {
	unix.RawSyscall(unix.SYS_SETFSGID, uintptr(u.gid), 0, 0)
	unix.RawSyscall(unix.SYS_SETFSUID, uintptr(u.uid), 0, 0)
	defer func() {
		unix.RawSyscall(unix.SYS_SETFSUID, 0, 0, 0)
		unix.RawSyscall(unix.SYS_SETFSGID, 0, 0, 0)
	}()
	f()
}

// mayEnter says whether u may look up names in the folder at fd.
func mayEnter(fd int, u account) bool {
	ok := false
	asUser(u, func() {
		if sub, err := unix.Openat(fd, ".", unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
			ok = true
			_ = unix.Close(sub) // O_PATH; nothing can be lost
		}
	})
	return ok
}

// blockedBy returns the topmost folder above path that u may not enter, or "".
// found is false when path is not there, as below a cover of ours.
func blockedBy(path string, u account) (blocked string, found bool, err error) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = unix.Close(fd) }() // whichever fd is then; O_PATH, nothing can be lost
	at := "/"
	for _, part := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		if part == "" {
			continue
		}
		if !mayEnter(fd, u) {
			return at, true, nil
		}
		next, err := unix.Openat(fd, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		_ = unix.Close(fd) // O_PATH; nothing can be lost
		fd, at = next, filepath.Join(at, part)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return "", false, err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return "", true, nil // what it leads to is a target of its own
		}
	}
	return "", true, nil
}

// reacher makes paths reachable in a mount namespace of this thread's own.
type reacher struct {
	u      account
	covers []string
}

// target is one path to be reached.
type target struct {
	path string // real
	dir  bool
	fd   int // open from before anything is covered
}

// makeReachable sees to it that u can use every path of o. The mount table of
// everyone else stays as it is; where nothing is in the way nothing is done.
func makeReachable(o Options, u account) error {
	exe, err := os.Executable()
	if err != nil {
		return refuse("the program itself cannot be found (%w)", err)
	}
	targets, aliases, err := resolve(append([]string{o.StateRoot, exe}, o.Reach...), u)
	if err != nil {
		return err
	}
	r := &reacher{u: u}
	if !r.anyBlocked(targets, aliases) {
		return r.keepWorkingDir()
	}
	if err := ownNamespace(); err != nil {
		return refuse("the user %s may not enter the folders above %s, and mounts that would show it cannot be made here (%w); use folders that everyone may enter, such as below /var/lib and /opt", u.name, o.StateRoot, err)
	}
	// The folders of a cover are for everyone to enter, whatever the umask is.
	defer unix.Umask(unix.Umask(0o022))
	if err := openAll(targets); err != nil {
		return err
	}
	defer func() {
		for _, t := range targets {
			_ = unix.Close(t.fd) // O_PATH; nothing can be lost
		}
	}()
	for _, t := range targets {
		if err := r.reach(t.path, func() error { return attach(t) }); err != nil {
			return err
		}
	}
	for alias, real := range aliases {
		if err := r.reach(alias, func() error { return relink(real, alias) }); err != nil {
			return err
		}
	}
	return r.keepWorkingDir()
}

func (r *reacher) anyBlocked(targets []target, aliases map[string]string) bool {
	paths := make([]string, 0, len(targets)+len(aliases))
	for _, t := range targets {
		paths = append(paths, t.path)
	}
	for a := range aliases {
		paths = append(paths, a)
	}
	for _, p := range paths {
		if blocked, _, err := blockedBy(p, r.u); blocked != "" || err != nil {
			return true
		}
	}
	return false
}

// ownNamespace gives this thread a mount namespace. Slave: mounts of the host
// still come here, ours never go there.
func ownNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	return unix.Mount("none", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
}

// openAll opens the targets in the new namespace: a mount of another one cannot
// be cloned.
func openAll(targets []target) error {
	for i := range targets {
		fd, err := unix.Open(targets[i].path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return refuse("%s cannot be reached (%w)", targets[i].path, err)
		}
		targets[i].fd = fd
	}
	return nil
}

// resolve finds what the paths stand for, in order. A folder that u may not enter
// is replaced by the programs in it. aliases are the paths that lead to a target
// by way of a symbolic link.
func resolve(paths []string, u account) (targets []target, aliases map[string]string, err error) {
	seen, aliases := map[string]bool{}, map[string]string{}
	var add func(path string, expand bool) error
	add = func(path string, expand bool) error {
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		real, err := filepath.EvalSymlinks(abs)
		if errors.Is(err, os.ErrNotExist) {
			return nil // promised in the doc of Options.Reach
		}
		if err != nil {
			return err
		}
		if abs != real {
			aliases[abs] = real
		}
		if seen[real] {
			return nil
		}
		seen[real] = true
		fd, err := unix.Open(real, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
		if isDir && !mayEnter(fd, u) {
			return eachProgram(real, expand, func(p string) error { return add(p, false) })
		}
		targets = append(targets, target{path: real, dir: isDir})
		return nil
	}
	for _, p := range paths {
		if p == "" {
			continue
		}
		if err := add(p, true); err != nil {
			return nil, nil, refuse("%s cannot be reached (%w)", p, err)
		}
	}
	sort.Slice(targets, func(i, j int) bool { return targets[i].path < targets[j].path })
	return targets, aliases, nil
}

// eachProgram calls f for the executable files directly in dir.
func eachProgram(dir string, expand bool, f func(string) error) error {
	if !expand {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue // gone, or no program
		}
		if err := f(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// reach makes one path reachable; restore makes it below a cover.
func (r *reacher) reach(path string, restore func() error) error {
	blocked, found, err := blockedBy(path, r.u)
	switch {
	case err != nil:
		return refuse("%s cannot be reached (%w)", path, err)
	case blocked == "/":
		return refuse("the user %s may not enter / on this machine", r.u.name)
	case blocked == "" && found:
		return nil
	case blocked != "":
		if err := r.cover(blocked); err != nil {
			return refuse("the user %s may not enter %s, and that cannot be mended here (%w)", r.u.name, blocked, err)
		}
	}
	if err := restore(); err != nil {
		return refuse("%s cannot be shown to the user %s (%w)", path, r.u.name, err)
	}
	return nil
}

// cover puts an empty folder that everyone may enter, but not list, over path.
func (r *reacher) cover(path string) error {
	if err := unix.Mount("left4me", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0711,size=1m"); err != nil {
		return err
	}
	r.covers = append(r.covers, path)
	return nil
}

// relink makes the symbolic link that a cover hides, as far as it matters.
func relink(real, alias string) error {
	if err := os.MkdirAll(filepath.Dir(alias), 0o711); err != nil {
		return err
	}
	return os.Symlink(real, alias)
}

// attach mounts what t holds open at its old path below a cover.
func attach(t target) error {
	m, err := unix.OpenTree(t.fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(m)
	point := t.path
	if !t.dir {
		point = filepath.Dir(t.path)
	}
	if err := os.MkdirAll(point, 0o711); err != nil {
		return err
	}
	if !t.dir {
		f, err := os.OpenFile(t.path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_ = f.Close() // an empty file to mount on
	}
	return unix.MoveMount(m, "", unix.AT_FDCWD, t.path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// keepWorkingDir leaves a working directory that the user cannot use for the
// folder of the same name below a cover, or for /.
func (r *reacher) keepWorkingDir() error {
	fd, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		if mayEnter(fd, r.u) {
			return nil
		}
	}
	if wd, err := unix.Getwd(); err == nil {
		for _, c := range r.covers {
			if wd == c || strings.HasPrefix(wd, c+"/") {
				if os.MkdirAll(wd, 0o711) == nil && unix.Chdir(wd) == nil {
					return nil
				}
			}
		}
	}
	if err := unix.Chdir("/"); err != nil {
		return refuse("the working directory cannot be left (%w)", err)
	}
	return nil
}
