package mount

import (
	"bytes"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// mountStat is what statx tells of the mount that a descriptor is on.
type mountStat struct {
	id   uint64
	root bool // the descriptor is on the mount's root
	dev  device
}

// device is a file system's device number, which every copy of one of its mounts
// shares, in whatever namespace.
type device struct{ major, minor uint32 }

func statMount(fd int) (mountStat, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID|unix.STATX_INO, &st)
	if err != nil {
		return mountStat{}, err
	}
	return mountStat{
		id:   st.Mnt_id,
		root: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
		dev:  device{st.Dev_major, st.Dev_minor},
	}, nil
}

// mountTable reads the mount table of this thread's namespace. /proc/self would
// be that of the process's first thread. The kernel does not stop mounts while it
// writes the table down: a mount may be missing or stand there twice. So it is
// read until it is the same twice, or the host mounts and unmounts all the time.
func mountTable() ([]overlayhelper.MountEntry, error) {
	var text, last []byte
	for range 10 {
		fd, err := unix.Open("/proc/thread-self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, failed("open the mount table", err)
		}
		text, err = readAll(fd, 256<<20)
		_ = unix.Close(fd) // read only
		if err != nil {
			return nil, failed("read the mount table", err)
		}
		if bytes.Equal(text, last) {
			break
		}
		last = text
	}
	return overlayhelper.ParseMountinfo(bytes.NewReader(text))
}

// mounted is one mount of the host.
type mounted struct {
	overlayhelper.MountEntry
	dev device
}

// mountedOn returns what is mounted on run's merged, found in the mount table by
// its id and never by comparing devices; nil when nothing is.
func mountedOn(run int) (*mounted, error) {
	fd, err := openBeneath(run, dirMerged, pathDir, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("open the folder "+dirMerged, err)
	}
	defer unix.Close(fd) // or it would keep the mount busy itself
	st, err := statMount(fd)
	if err != nil {
		return nil, failed("look at the folder "+dirMerged, err)
	}
	if !st.root {
		return nil, nil
	}
	var m *mounted
	_, err = poll(time.Second, func() (bool, error) {
		table, err := mountTable()
		for _, e := range table {
			if e.ID == st.id {
				m = &mounted{e, st.dev}
			}
		}
		return m != nil, err
	})
	if m == nil && err == nil {
		err = overlayhelper.Fail(overlayhelper.ErrFailed, "what is mounted on %s is not in the mount table; try again", dirMerged)
	}
	return m, err
}
