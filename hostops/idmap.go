package hostops

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// TryIdmap tries, as root, whether the file system of dir takes an idmapped
// mount: "ok", or why not. A dir that is not there yet is judged by the folder it
// will be made in. The mount is attached nowhere and is gone with its descriptor.
func TryIdmap(dir string) string {
	for !existsAt(dir) && dir != "/" {
		dir = filepath.Dir(dir)
	}
	if err := tryIdmap(dir); err != nil {
		return err.Error()
	}
	return "ok"
}

func tryIdmap(dir string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("clone the mount of %s: %w", dir, err)
	}
	defer unix.Close(tree)
	users, err := mappedNamespace()
	if err != nil {
		return err
	}
	defer users.Close() // a namespace; nothing can be lost
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("map owners: %w", err)
	}
	return nil
}

// mappedNamespace makes a user namespace in which one id is another. It needs a
// process to be made; the namespace outlives it.
func mappedNamespace() (*os.File, error) {
	swap := []syscall.SysProcIDMap{{ContainerID: 1, HostID: 2, Size: 1}}
	cmd := exec.Command("cat") // waits until its input ends
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: swap, GidMappings: swap, Pdeathsig: syscall.SIGKILL}
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make a user namespace: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("make a user namespace: %w", err)
	}
	users, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	_ = hold.Close() // nothing was written
	_ = cmd.Wait()   // how cat fares as nobody known does not matter
	if err != nil {
		return nil, fmt.Errorf("look at a user namespace: %w", err)
	}
	return users, nil
}
