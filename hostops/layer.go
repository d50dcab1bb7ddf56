package hostops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
)

// cfgDir is where a generated layer has its files, cfgPath the one that the game
// executes.
const (
	cfgDir  = "left4dead2/cfg"
	cfgPath = cfgDir + "/" + servercfg.Name
)

// render makes the configuration of a spec whose overlays are there.
func (h *Host) render(spec ctl.Spec) (servercfg.Config, error) {
	return servercfg.Render(spec, servercfg.Overlays(h.path(dirOverlays)))
}

// layerOf names the generated layer by its content, relative to the state root.
func layerOf(name string, cfg servercfg.Config) string {
	sum := sha256.New()
	for _, f := range cfg.Files {
		fmt.Fprintf(sum, "%s %d\n%s", f.Name, len(f.Text), f.Text)
	}
	return path.Join(dirInstances, name, layersDir, hex.EncodeToString(sum.Sum(nil)[:6]))
}

// writeLayer makes the layer aside and renames it into place, so that one that
// is there is whole.
func (h *Host) writeLayer(layer string, cfg servercfg.Config) error {
	target := h.path(filepath.FromSlash(layer))
	if have, err := readLayer(target); err == nil && slices.Equal(have.Files, cfg.Files) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(target), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // gone after the rename; else it is swept with the old layers
	// Modes of the topmost layer's directories become those of the merged tree.
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(temp, cfgDir), 0o755); err != nil {
		return err
	}
	for _, f := range cfg.Files {
		if err := writeDurably(filepath.Join(temp, cfgDir, f.Name), []byte(f.Text), 0o600); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, target); err != nil {
		// A damaged layer of the same name: nothing runs from what start refuses.
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		if err := os.Rename(temp, target); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(target))
}

// readLayer is what writeLayer wrote into a layer.
func readLayer(dir string) (servercfg.Config, error) {
	entries, err := os.ReadDir(filepath.Join(dir, cfgDir)) // ordered by name, as Render orders them
	if err != nil {
		return servercfg.Config{}, err
	}
	var cfg servercfg.Config
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, cfgDir, e.Name()))
		if err != nil {
			return servercfg.Config{}, err
		}
		cfg.Files = append(cfg.Files, servercfg.File{Name: e.Name(), Text: string(text)})
	}
	return cfg, nil
}

// dropOldLayers removes every generated layer except keep and the one that the
// running game has mounted. Not knowing what runs, it removes none.
func (h *Host) dropOldLayers(ctx context.Context, name, keep string) error {
	inst, err := h.Supervisor.Status(ctx, name)
	if err != nil {
		return fmt.Errorf("ask what %s runs with: %w", name, err)
	}
	mounted := ""
	if up(inst) {
		if inst.Applied == nil || inst.Applied.Layer == "" {
			return nil
		}
		mounted = path.Base(inst.Applied.Layer)
	}
	dir := h.path(dirInstances, name, layersDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == path.Base(keep) || e.Name() == mounted {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove an old layer: %w", err)
		}
	}
	return nil
}
