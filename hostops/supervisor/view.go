package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
)

// view.go makes what the game sees of the host. It runs as our own user, so
// whatever that user may read or write must be taken out of its sight: the state
// root but for its own tree, homes, run-time sockets, terminals, temporary files.
// All else of the host is read-only.

// hiddenDirs are empty and read-only for the game.
var hiddenDirs = []string{"/home", "/root", "/run/user", "/run/screen", "/etc/left4me", "/var/lib/left4me", "/opt/left4me"}

// scratchDirs are empty, writable and small for the game.
var scratchDirs = []string{"/tmp", "/var/tmp"}

// deviceNodes are all that is left of /dev beside terminals of its own and shm.
var deviceNodes = []string{"null", "zero", "full", "random", "urandom"}

// procFiles are shown where the kernel does not let us mount a fresh /proc. The
// engine needs cpuinfo, or it falls back to LAN mode.
var procFiles = []string{"cpuinfo", "meminfo", "stat", "version", "uptime", "loadavg", "filesystems"}

// view collects detached mounts while the host's tree is still in sight and puts
// them together afterwards.
type view struct {
	o       orders
	overlay int
	visible map[string]int // path below the state root -> detached mount
	devices map[string]int
	proc    map[string]int
	covers  map[string]int // real path -> the tmpfs over it
}

// collect pins everything that will be needed again.
func collectView(root *os.File, overlay int, o orders) (*view, error) {
	v := &view{o: o, overlay: overlay, visible: map[string]int{}, devices: map[string]int{}, proc: map[string]int{}, covers: map[string]int{}}
	for _, p := range o.Visible {
		f, err := openBeneath(fdOf(root), p, pathOnly, 0)
		if errors.Is(err, unix.ENOENT) {
			continue // promised in the doc of Launch.Visible
		}
		if err != nil {
			return nil, err
		}
		m, err := confine.CloneMount(fdOf(f))
		_ = f.Close() // O_PATH; nothing can be lost
		if err != nil {
			return nil, fmt.Errorf("show %s: %w", p, err)
		}
		if err := confine.Restrict(m, confine.PlainAttrs|unix.MOUNT_ATTR_RDONLY); err != nil {
			return nil, fmt.Errorf("show %s: %w", p, err)
		}
		v.visible[p] = m
	}
	for dir, names := range map[string][]string{"/dev": deviceNodes, "/proc": procFiles} {
		for _, name := range names {
			m, err := unix.OpenTree(unix.AT_FDCWD, dir+"/"+name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
			if err != nil {
				if name == "null" {
					return nil, fmt.Errorf("show /dev/null: %w", err)
				}
				continue // not on this host, so not in the game's either
			}
			if dir == "/dev" {
				v.devices[name] = m
			} else {
				v.proc[name] = m
			}
		}
	}
	return v, nil
}

// build replaces the keeper's view by the game's and reports whether /proc is
// the namespace's own.
func (v *view) build() (ownProc bool, err error) {
	slash, err := unix.Open("/", pathOnly, 0)
	if err != nil {
		return false, fmt.Errorf("open /: %w", err)
	}
	defer unix.Close(slash)
	if err := confine.Restrict(slash, confine.PlainAttrs|unix.MOUNT_ATTR_RDONLY); err != nil {
		return false, mountFailure("making the host read-only for the game", err, confine.ReadKnobs())
	}
	if err := v.buildDev(); err != nil {
		return false, fmt.Errorf("make /dev: %w", err)
	}
	for _, p := range scratchDirs {
		if err := v.cover(p, "64m", "1777"); err != nil {
			return false, err
		}
	}
	for _, p := range append([]string{v.o.Home}, hiddenDirs...) {
		if err := v.cover(p, "1m", "0755"); err != nil {
			return false, err
		}
	}
	if err := v.buildRoot(); err != nil {
		return false, fmt.Errorf("make the game's state folder: %w", err)
	}
	if err := v.closeCovers(); err != nil {
		return false, err
	}
	return v.buildProc()
}

// cover puts an empty tmpfs over a folder; one that is not there, or lies in a
// covered one, needs none.
func (v *view) cover(path, size, mode string) error {
	if path == "" || path == "/" {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil // not there, or not reachable: nothing the game could see
	}
	if _, in := v.coverOf(real); in != "" || real == "/" {
		return nil
	}
	fd, err := unix.Open(real, pathOnly, 0)
	if err != nil {
		return nil // not a folder, or gone again
	}
	defer unix.Close(fd)
	if real == v.o.Home || path == v.o.Home {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || int(st.Uid) != os.Getuid() {
			return nil // a home like /bin or /nonexistent is not ours and holds nothing of ours
		}
	}
	t, err := confine.NewTmpfs(size, mode)
	if err != nil {
		return fmt.Errorf("hide %s: %w", path, err)
	}
	if err := confine.Attach(t, fd, ""); err != nil {
		return fmt.Errorf("hide %s: %w", path, err)
	}
	v.covers[real] = t
	return nil
}

// coverOf finds the tmpfs that path lies in or is.
func (v *view) coverOf(path string) (fd int, at string) {
	for c, fd := range v.covers {
		if path == c || strings.HasPrefix(path, c+"/") {
			return fd, c
		}
	}
	return -1, ""
}

// buildRoot puts a tmpfs over the state root and into it, at their usual paths,
// the game's own tree and what it may see.
func (v *view) buildRoot() error {
	var at *os.File
	var err error
	if fd, c := v.coverOf(v.o.Root); c != "" && c != v.o.Root {
		at, err = mkdirAll(fd, strings.TrimPrefix(v.o.Root, c+"/"))
	} else {
		var raw int
		raw, err = unix.Open(v.o.Root, pathOnly, 0)
		at = os.NewFile(uintptr(raw), v.o.Root)
	}
	if err != nil {
		return err
	}
	defer at.Close()
	t, err := confine.NewTmpfs("1m", "0755")
	if err != nil {
		return err
	}
	if err := confine.Attach(t, fdOf(at), ""); err != nil {
		return err
	}
	mounts := map[string]int{"runtime/" + v.o.Name + "/" + dirMerged: v.overlay}
	for p, m := range v.visible {
		mounts[p] = m
	}
	paths := make([]string, 0, len(mounts))
	for p := range mounts {
		paths = append(paths, p)
	}
	sort.Strings(paths) // a folder comes before what lies in it
	points := map[string]*os.File{}
	for _, p := range paths {
		if points[p], err = mkdirAll(t, p); err != nil {
			return err
		}
		defer points[p].Close()
	}
	if err := confine.Restrict(t, confine.PlainAttrs|unix.MOUNT_ATTR_RDONLY); err != nil {
		return err
	}
	for _, p := range paths {
		if err := confine.Attach(mounts[p], fdOf(points[p]), ""); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

// closeCovers makes the hidden folders read-only, now that what had to be made
// in them is there.
func (v *view) closeCovers() error {
	for path, fd := range v.covers {
		writable := false
		for _, s := range scratchDirs {
			if real, err := filepath.EvalSymlinks(s); err == nil && real == path {
				writable = true
			}
		}
		if writable {
			continue
		}
		// Not recursively: the game's own tree may be mounted below.
		err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		if err != nil {
			return fmt.Errorf("hide %s: %w", path, err)
		}
	}
	return nil
}

// buildDev makes a /dev with harmless devices and terminals of its own: those of
// the host belong to the same user, who may be sitting at them.
func (v *view) buildDev() error {
	t, err := confine.NewMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "size", "64k", "mode", "0755")
	if err != nil {
		return err
	}
	for name := range v.devices {
		fd, err := unix.Openat(t, name, unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		_ = unix.Close(fd) // an empty file to mount on
	}
	for _, d := range []string{"pts", "shm"} {
		if err := mkdirAt(t, d, 0o755); err != nil {
			return err
		}
	}
	links := map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}
	for name, to := range links {
		if err := unix.Symlinkat(to, t, name); err != nil {
			return err
		}
	}
	if err := confine.Restrict(t, unix.MOUNT_ATTR_RDONLY); err != nil {
		return err
	}
	dev, err := unix.Open("/dev", pathOnly, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	if err := confine.Attach(t, dev, ""); err != nil {
		return err
	}
	for name, m := range v.devices {
		if err := confine.Attach(m, t, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	pts, err := confine.NewMount("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "ptmxmode", "0666", "mode", "0600")
	if err != nil {
		return err
	}
	if err := confine.Attach(pts, t, "pts"); err != nil {
		return err
	}
	shm, err := confine.NewTmpfs("64m", "1777")
	if err != nil {
		return err
	}
	return confine.Attach(shm, t, "shm")
}

// buildProc mounts the namespace's own /proc. Where the kernel refuses (inside a
// container whose /proc is partly covered) the host's is hidden, because it would
// show the other processes of our user.
func (v *view) buildProc() (bool, error) {
	at, err := unix.Open("/proc", pathOnly, 0)
	if err != nil {
		return false, fmt.Errorf("open /proc: %w", err)
	}
	defer unix.Close(at)
	m, err := confine.NewMount("proc", confine.PlainAttrs|unix.MOUNT_ATTR_NOEXEC)
	if err == nil {
		return true, confine.Attach(m, at, "")
	}
	t, err := confine.NewTmpfs("64k", "0555")
	if err != nil {
		return false, fmt.Errorf("hide /proc: %w", err)
	}
	for name := range v.proc {
		fd, err := unix.Openat(t, name, unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o400)
		if err != nil {
			return false, fmt.Errorf("hide /proc: %w", err)
		}
		_ = unix.Close(fd) // an empty file to mount on
	}
	if err := confine.Attach(t, at, ""); err != nil {
		return false, fmt.Errorf("hide /proc: %w", err)
	}
	for name, m := range v.proc {
		if err := confine.Attach(m, t, name); err != nil {
			return false, fmt.Errorf("hide /proc: %w", err)
		}
	}
	return false, nil
}

// mkdirAll makes path below dir and opens its last folder.
func mkdirAll(dir int, path string) (*os.File, error) {
	done := ""
	for _, part := range strings.Split(path, "/") {
		at, err := openBeneath(dir, filepath.Join(".", done), pathOnly, 0)
		if err != nil {
			return nil, err
		}
		err = mkdirAt(fdOf(at), part, 0o755)
		_ = at.Close() // O_PATH; nothing can be lost
		if err != nil {
			return nil, err
		}
		done = filepath.Join(done, part)
	}
	return openBeneath(dir, done, pathOnly, 0)
}
