package mount

import (
	"errors"

	"golang.org/x/sys/unix"

	"left4me/overlayhelper"
)

// clones are detached mounts of the folders that layers lie in, one per folder
// and translation of owners: much cheaper than one per layer, and an fd opened
// below a clone pins mount and folder just as well.
type clones struct {
	users overlayhelper.Users
	byKey map[cloneKey]int
	names map[uint32]int // user namespaces by the id that they show as the game's
	all   []int          // in the order of their making; the stage attaches them
}

type cloneKey struct {
	base  int    // the folder's descriptor
	owner uint32 // whose files are shown as the game's; 0: as they are
}

func newClones(u overlayhelper.Users) *clones {
	return &clones{users: u, byKey: map[cloneKey]int{}, names: map[uint32]int{}}
}

// layer returns a clone of base that nothing can be written through, in which
// owner's files are the game's.
func (c *clones) layer(base int, owner *overlayhelper.User) (int, error) {
	key := cloneKey{base: base}
	attr := unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
		Propagation: unix.MS_PRIVATE,
	}
	if owner != nil {
		key.owner = owner.UID
	}
	if fd, ok := c.byKey[key]; ok {
		return fd, nil
	}
	if owner != nil {
		ns, err := c.userns(*owner)
		if err != nil {
			return -1, err
		}
		attr.Attr_set |= unix.MOUNT_ATTR_IDMAP
		attr.Userns_fd = uint64(ns)
	}
	fd, err := c.clone(base, &attr)
	if errors.Is(err, unix.EINVAL) && owner != nil {
		return -1, overlayhelper.Fail(overlayhelper.ErrFailed, "this file system cannot show %s's files as the game's (%w); keep %s on ext4, xfs or btrfs", overlayhelper.ServiceName, err, overlayhelper.StateRoot)
	}
	if err != nil {
		return -1, err
	}
	c.byKey[key] = fd
	return fd, nil
}

// writable returns a clone of base for upper and work.
func (c *clones) writable(base int) (int, error) {
	return c.clone(base, &unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
		Propagation: unix.MS_PRIVATE,
	})
}

func (c *clones) clone(base int, attr *unix.MountAttr) (int, error) {
	fd, err := unix.OpenTree(base, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return -1, failed("clone a folder of layers", err)
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, attr); err != nil {
		return -1, failed("restrict a folder of layers", err)
	}
	c.all = append(c.all, fd)
	return fd, nil
}

func (c *clones) userns(owner overlayhelper.User) (int, error) {
	if fd, ok := c.names[owner.UID]; ok {
		return fd, nil
	}
	fd, err := newUserns(owner, c.users.Game)
	if err != nil {
		return -1, failed("make a user namespace for the owners of layers", err)
	}
	c.names[owner.UID] = fd
	return fd, nil
}

// openLayers opens every layer below a clone, uppermost first, the installation
// last.
func (h *host) openLayers(c *clones, instance int, layers []overlayhelper.Layer) ([]int, error) {
	overlays, err := openBeneath(h.state, dirOverlays, pathDir, 0)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, failed("open the folder "+dirOverlays, err)
	}
	bases := map[overlayhelper.Place]int{overlayhelper.PlaceInstance: instance, overlayhelper.PlaceOverlays: overlays}
	var lowers []int
	for _, l := range layers {
		place, rel := l.Where()
		if bases[place] < 0 {
			return nil, overlayhelper.Fail(overlayhelper.ErrFailed, "the layer %s is missing: there is no folder %s", l, dirOverlays)
		}
		fd, err := c.openLayer(bases[place], rel, "the layer "+string(l))
		if err != nil {
			return nil, err
		}
		lowers = append(lowers, fd)
	}
	installation, err := openBeneath(h.state, dirInstallation, pathDir, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, overlayhelper.Fail(overlayhelper.ErrFailed, "the game is not installed on this host; run: l4d2ctl install")
	}
	if err != nil {
		return nil, layerFailure("the installation", err)
	}
	fd, err := c.openLayer(installation, ".", "the installation")
	if err != nil {
		return nil, err
	}
	return append(lowers, fd), nil
}

// openLayer checks the folder rel below base and opens the same one below a
// clone. what names it in sentences.
func (c *clones) openLayer(base int, rel, what string) (int, error) {
	fd, err := openBeneath(base, rel, pathDir, unix.RESOLVE_NO_XDEV)
	if err != nil {
		return -1, layerFailure(what, err)
	}
	defer unix.Close(fd)
	m, seen, err := metaOf(fd)
	if err != nil {
		return -1, layerFailure(what, err)
	}
	owner, err := overlayhelper.LayerOwner(what, m, c.users)
	if err != nil {
		return -1, err
	}
	clone, err := c.layer(base, owner)
	if err != nil {
		return -1, err
	}
	lower, err := openBeneath(clone, rel, pathDir, unix.RESOLVE_NO_XDEV)
	if err != nil {
		return -1, layerFailure(what, err)
	}
	_, used, err := metaOf(lower)
	if err != nil {
		return -1, layerFailure(what, err)
	}
	if used.Ino != seen.Ino || used.Dev != seen.Dev {
		return -1, overlayhelper.Fail(overlayhelper.ErrRefused, "%s was exchanged while it was being mounted", what)
	}
	return lower, nil
}

func layerFailure(what string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return overlayhelper.Fail(overlayhelper.ErrFailed, "%s is missing (%w); build it again", what, err)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return overlayhelper.Fail(overlayhelper.ErrRefused, "%s is not a folder, or reached by a symbolic link (%w)", what, err)
	case errors.Is(err, unix.EXDEV):
		return overlayhelper.Fail(overlayhelper.ErrRefused, "%s is a mount of its own or leaves its folder (%w)", what, err)
	}
	return failed("open "+what, err)
}
