package hostops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"gopkg.in/yaml.v3"

	"left4me/hostops/ctl"
	"left4me/hostops/overlay"
	"left4me/hostops/servercfg"
	"left4me/hostops/supervisor"
)

// Below instances/NAME: spec.yaml, the spec as it was last accepted (only its
// owner may read it: it holds the RCON password), and layers/HASH, the generated
// topmost layers. A layer is never changed once it is there, because a running
// game may have it mounted; another spec makes another layer.
const (
	specFile  = "spec.yaml"
	layersDir = "layers"
)

// portsWait is how long an initialize waits for others at least.
const portsWait = 10 * time.Second

// Initialize checks a spec and makes it the instance's: the next start uses it.
// source is what the spec is called in messages. Doing it again with the same
// spec changes nothing. Whatever is refused leaves everything as it was.
func (h *Host) Initialize(ctx context.Context, name, source string, r io.Reader) (notices []string, err error) {
	if err := ctl.CheckName(name); err != nil {
		return nil, err
	}
	spec, err := ParseSpec(source, r)
	if err != nil {
		return nil, err
	}
	if err := h.checkOverlays(spec.Overlays); err != nil {
		return nil, err
	}
	cfg, err := h.render(spec)
	if err != nil {
		return nil, err
	}
	notices = append(cfg.Notices, h.Warnings(spec)...)
	release, err := h.lockInstance(ctx, name)
	if err != nil {
		return nil, err
	}
	defer release()
	// Many servers are initialised at once, and each has the list for a moment only.
	releasePorts, err := h.lockFor(ctx, lockPorts, "the list of ports", exclusive, max(h.Wait, portsWait))
	if err != nil {
		return nil, err
	}
	defer releasePorts()
	// Again: a version that is there now is not collected before the spec names it.
	if err := h.checkOverlays(spec.Overlays); err != nil {
		return nil, err
	}
	if err := h.checkPortOwner(name, spec.Port); err != nil {
		return nil, err
	}
	if err := h.apply(ctx, name, spec, cfg); err != nil {
		return nil, h.diskError(fmt.Errorf("initialize %s: %w", name, err))
	}
	for _, n := range notices {
		h.say("Note: %s.", n)
	}
	h.say("Server %s is initialised on port %d.", name, spec.Port)
	return notices, nil
}

// apply writes the layer first and the spec second: a spec that is there always
// has its layer.
func (h *Host) apply(ctx context.Context, name string, spec ctl.Spec, cfg servercfg.Config) error {
	dir := h.path(dirInstances, name)
	if err := h.makeInstanceDir(dir); err != nil {
		return err
	}
	layer := layerOf(name, cfg)
	if err := h.writeLayer(layer, cfg); err != nil {
		return err
	}
	data, err := encodeSpec(spec)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(dir, specFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(old, data) {
		if err := writeDurably(filepath.Join(dir, specFile), data, 0o600); err != nil {
			return err
		}
	}
	return h.dropOldLayers(ctx, name, layer)
}

func (h *Host) makeInstanceDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is in the way: it is not a directory", dir)
	}
	return nil
}

// up reports whether an instance has a process or a mount, or is about to.
func up(i supervisor.Instance) bool {
	switch i.State {
	case ctl.ServerStarting, ctl.ServerRunning, ctl.ServerStopping, ctl.ServerUnknown:
		return true
	}
	return false
}

// encodeSpec writes a spec as people would, or as JSON where YAML's block texts
// do not give every byte back.
func encodeSpec(spec ctl.Spec) ([]byte, error) {
	data, err := yaml.Marshal(spec)
	if err != nil {
		return nil, err
	}
	if again, err := ParseSpec(specFile, bytes.NewReader(data)); err == nil && again.Sum() == spec.Sum() {
		return data, nil
	}
	data, err = spec.Encode()
	return append(data, '\n'), err
}

// readSpec is an instance's accepted spec. Errors: ctl.ErrNotFound when it was
// never initialised.
func (h *Host) readSpec(name string) (ctl.Spec, error) {
	f, err := os.OpenFile(h.path(dirInstances, name, specFile), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ctl.Spec{}, fail(ctl.ErrNotFound, "there is no server %s: run l4d2ctl initialize %s -f SPEC first", name, name)
	}
	if err != nil {
		return ctl.Spec{}, fmt.Errorf("read the spec of %s: %w", name, err)
	}
	defer f.Close() // read only; nothing can be lost
	return ParseSpec(f.Name(), f)
}

// names lists the initialised instances in order. Other entries are ignored: a
// half-made instance has no spec.
func (h *Host) names() ([]string, error) {
	entries, err := os.ReadDir(h.path(dirInstances))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the servers: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && ctl.CheckName(e.Name()) == nil {
			if _, err := os.Lstat(h.path(dirInstances, e.Name(), specFile)); err == nil {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// checkPortOwner refuses a port that another instance is initialised with.
func (h *Host) checkPortOwner(name string, port int) error {
	names, err := h.names()
	if err != nil {
		return err
	}
	for _, other := range names {
		if other == name {
			continue
		}
		// A spec that cannot be read holds no port: its server cannot start either.
		if spec, err := h.readSpec(other); err == nil && spec.Port == port {
			return fail(ctl.ErrPortTaken, "port %d belongs to server %s: choose another", port, other)
		}
	}
	return nil
}

// checkOverlays looks whether each ref is a real directory below overlays/ with
// no link on the way.
func (h *Host) checkOverlays(refs []string) error {
	if len(refs) == 0 {
		return nil
	}
	base, err := os.Open(h.path(dirOverlays))
	if errors.Is(err, fs.ErrNotExist) {
		return h.missingOverlay(refs[0])
	}
	if err != nil {
		return fmt.Errorf("look at the overlays: %w", err)
	}
	defer base.Close() // read only; nothing can be lost
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for _, ref := range refs {
		fd, err := unix.Openat2(int(base.Fd()), ref, &how)
		switch {
		case err == nil:
			_ = unix.Close(fd) // only its existence mattered
		case errors.Is(err, unix.ENOENT):
			return h.missingOverlay(ref)
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
			return fail(ctl.ErrBadSpec, "overlay %s leaves its folder: there is a link on the way to it", ref)
		case errors.Is(err, unix.ENOTDIR):
			return fail(ctl.ErrBadSpec, "overlay %s is not a directory", ref)
		default:
			return fmt.Errorf("look at overlay %s: %w", ref, err)
		}
	}
	return nil
}

// missingOverlay says that a version cannot be used, which there are instead, and
// how to come by one of them. It is ctl.ErrNoOverlay.
func (h *Host) missingOverlay(ref string) error {
	r, err := overlay.ParseRef(ref)
	if err != nil { // 0/v1 and the like, which a spec may name and nobody can build
		return fail(ctl.ErrNoOverlay, "overlay %s does not exist on this host: build it first", ref)
	}
	err = h.store().Missing(r)
	if newest, _ := h.store().Newest(r.Overlay); newest == 0 { // what cannot be read is not there to be used
		return err
	}
	return fail(ctl.ErrNoOverlay, "%v. Apply the server's blueprint again, which takes the current version, or initialise the server with one that is there", err)
}
