package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// Trial does once what every start does before the game comes: a process in
// namespaces of its own, an overlay of two empty layers on the file system of the
// state root, the game's view of the host, and a file written through it. Root
// must exist. Nothing of it stays. It fails as Start does.
func (r *Rootless) Trial(ctx context.Context) error {
	if os.Geteuid() == 0 {
		return fail(ctl.ErrRoot, "namespaces are not tried as root, which never runs a game")
	}
	root, path, err := openStateRoot(r.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	top, err := os.MkdirTemp(path, ".trial-")
	if err != nil {
		return fmt.Errorf("make a folder for the trial: %w", err)
	}
	err = (&Rootless{Root: top, Self: r.Self, inUse: r.inUse}).try(ctx)
	// The folders of overlayfs have odd modes, which removeTree knows.
	if rerr := removeTree(context.WithoutCancel(ctx), fdOf(root), filepath.Base(top)); err == nil && rerr != nil {
		err = fmt.Errorf("remove the folder of the trial: %w", rerr)
	}
	return err
}

// try starts a keeper that ends before its game.
func (r *Rootless) try(ctx context.Context) error {
	l := Launch{Name: "trial", Layers: []string{"above", "below"}, Argv: []string{"trial"}}
	for _, layer := range l.Layers {
		if err := os.Mkdir(filepath.Join(r.Root, layer), 0o755); err != nil {
			return fmt.Errorf("make a layer for the trial: %w", err)
		}
	}
	root, path, err := openStateRoot(r.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	run, err := makeRun(root, l.Name)
	if err != nil {
		return fmt.Errorf("prepare the trial: %w", err)
	}
	defer run.close()
	lock, err := run.lock()
	if err != nil {
		return fmt.Errorf("prepare the trial: %w", err)
	}
	o, err := newOrders(l, root, path)
	if err == nil {
		o.Trial, o.InUse = true, defaultInUse
		err = r.spawn(ctx, run, lock, o)
	}
	_ = lock.Close() // nothing was written; the keeper has a copy until it is gone
	for {
		if held, herr := run.held(); herr != nil || !held {
			return err
		}
		if werr := wait(ctx, pollEvery); werr != nil {
			return werr
		}
	}
}

// writeThrough makes a file in the trial's overlay.
func writeThrough(overlay int) error {
	fd, err := unix.Openat(overlay, "written", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("write into the overlay: %w", err)
	}
	return unix.Close(fd)
}
