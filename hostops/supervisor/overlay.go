package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/confine"
	"left4me/hostops/ctl"
)

// overlay.go builds an instance's overlay as a detached mount, by way of a stage:
// before Linux 6.15 overlayfs takes only layers that are attached in the caller's
// own mount namespace, and before 6.13 only by path. So each layer is pinned by a
// file descriptor, cloned, and attached below a private tmpfs under a short name
// that nobody else can reach.

// overlayOptions are the same for every mount. index, metacopy and xino off: a
// changed layer must not make the upper one unusable. nofollow: a layer cannot
// redirect into another. userxattr: the only way without CAP_SYS_ADMIN on the
// host, and without it a deleted and remade folder gives EIO.
const overlayOptions = "userxattr,metacopy=off,xino=off,redirect_dir=nofollow"

// defaultInUse is how long a former mount of the same instance may take to go
// away: the kernel flushes the file system first, after the lock is free already.
const defaultInUse = 15 * time.Second

// stage is the private tmpfs, attached over the instance's own merged folder.
type stage struct {
	fd  int // of the tmpfs
	run *runDir
}

// buildOverlay mounts the layers and returns the detached overlay.
func buildOverlay(root *os.File, run *runDir, o orders) (int, error) {
	s, err := openStage(run)
	if err != nil {
		return -1, err
	}
	defer s.close()
	names := make([]string, len(o.Layers))
	for i, layer := range o.Layers {
		names[i] = strconv.FormatInt(int64(i), 36)
		if err := s.addLayer(root, layer, names[i]); err != nil {
			return -1, err
		}
	}
	if err := s.waitUnused(o.Name, o.InUse); err != nil {
		return -1, err
	}
	options := overlayOptions + ",index=off,lowerdir=" + strings.Join(names, ":")
	if err := s.mount(o.Name, "M", options); err != nil {
		return -1, err
	}
	m, err := openMount(s.fd, "M")
	if err != nil {
		return -1, err
	}
	return m, nil
}

// openStage makes the tmpfs with R, the writable copy of runtime/NAME, in it.
func openStage(run *runDir) (*stage, error) {
	k := confine.ReadKnobs()
	t, err := confine.NewTmpfs("1m", "0700")
	if err != nil {
		return nil, mountFailure("making the stage for the overlay", err, k)
	}
	merged, err := openBeneath(fdOf(run.dir), dirMerged, pathOnly, 0)
	if err != nil {
		return nil, err
	}
	defer merged.Close()
	// Cloned before the stage covers merged, or the clone would have the stage in it.
	r, err := confine.CloneMount(fdOf(run.dir))
	if err != nil {
		return nil, mountFailure("cloning the server's folder", err, k)
	}
	defer unix.Close(r)
	if err := confine.Attach(t, fdOf(merged), ""); err != nil {
		return nil, mountFailure("attaching the stage for the overlay", err, k)
	}
	for _, name := range []string{"R", "A", "M", "P"} {
		if err := mkdirAt(t, name, 0o700); err != nil {
			return nil, err
		}
	}
	if err := confine.Attach(r, t, "R"); err != nil {
		return nil, err
	}
	rfd, err := unix.Openat(t, "R", pathOnly, 0)
	if err != nil {
		return nil, fmt.Errorf("open the stage: %w", err)
	}
	s := &stage{fd: t, run: &runDir{os.NewFile(uintptr(rfd), "R")}}
	if err := s.addLayer(s.run.dir, dirAnchor, "A"); err != nil {
		return nil, err
	}
	return s, unix.Fchdir(t)
}

// close takes the stage away with everything that is attached below it. The
// overlay has clones of its own.
func (s *stage) close() {
	_ = unix.Chdir("/") // or our own working directory would keep the stage; / is always there
	s.run.close()
	_ = unix.Unmount("/proc/self/fd/"+strconv.Itoa(s.fd), unix.MNT_DETACH) // dies with the namespace at the latest
	_ = unix.Close(s.fd)                                                   // a mount's descriptor; nothing can be lost
}

// addLayer attaches the folder at path below dir as name.
func (s *stage) addLayer(dir *os.File, path, name string) error {
	f, err := openBeneath(fdOf(dir), path, pathOnly, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return fail(ctl.ErrNotFound, "the layer %s is missing below the state folder (%w); build it again", path, err)
		}
		return fmt.Errorf("open layer: %w", err)
	}
	defer f.Close()
	if err := mkdirAt(s.fd, name, 0o700); err != nil {
		return err
	}
	m, err := confine.CloneMount(fdOf(f))
	if err != nil {
		return fmt.Errorf("layer %s: %w", path, err)
	}
	defer unix.Close(m)
	if err := confine.Restrict(m, confine.PlainAttrs|unix.MOUNT_ATTR_RDONLY); err != nil {
		return fmt.Errorf("layer %s: %w", path, err)
	}
	if err := confine.Attach(m, s.fd, name); err != nil {
		return fmt.Errorf("layer %s: %w", path, err)
	}
	return nil
}

// mount mounts an overlay of this instance's upper layer on the stage's at.
func (s *stage) mount(name, at, options string) error {
	upper, err := openBeneath(fdOf(s.run.dir), dirUpper, pathOnly, 0)
	if err != nil {
		return err
	}
	defer upper.Close()
	work, err := openBeneath(fdOf(s.run.dir), dirWork, pathOnly, 0)
	if err != nil {
		return err
	}
	defer work.Close()
	// The descriptors pin folder and mount: there is no path left to exchange.
	options += fmt.Sprintf(",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", upper.Fd(), work.Fd())
	err = unix.Mount("left4me:"+name, at, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			return err
		}
		return overlayFailure(err, fsName(fdOf(upper)), confine.ReadKnobs())
	}
	return nil
}

// waitUnused makes sure that no other overlay writes to the same upper layer.
// The kernel would only grumble into its log. With index=on it refuses, so that
// is tried first, over the constant empty folder A.
func (s *stage) waitUnused(name string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		err := s.mount(name, "P", overlayOptions+",index=on,lowerdir=A")
		if err == nil {
			if err := unix.Unmount("P", 0); err != nil {
				return fmt.Errorf("take the in-use probe away: %w", err)
			}
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		if time.Now().After(deadline) {
			return fail(ctl.ErrInUse, "the files of %s are still in use by another process that sees its former mount (%w); end it, or restart the machine, and start again", name, err)
		}
	}
}

// openMount returns a detached copy of what is mounted on dir's entry name.
func openMount(dir int, name string) (int, error) {
	m, err := unix.OpenTree(dir, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("detach the overlay: %w", err)
	}
	return m, nil
}
