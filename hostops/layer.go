package hostops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// layerOf names the generated layer by its content, relative to the state root.
func layerOf(name, cfg string) string {
	sum := sha256.Sum256([]byte(cfg))
	return path.Join(dirInstances, name, layersDir, hex.EncodeToString(sum[:6]))
}

// writeLayer makes the layer aside and renames it into place, so that one that
// is there is whole.
func (h *Host) writeLayer(layer, cfg string) error {
	target := h.path(filepath.FromSlash(layer))
	if have, err := os.ReadFile(filepath.Join(target, cfgPath)); err == nil && string(have) == cfg {
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
	if err := os.MkdirAll(filepath.Join(temp, filepath.Dir(cfgPath)), 0o755); err != nil {
		return err
	}
	if err := writeDurably(filepath.Join(temp, cfgPath), []byte(cfg), 0o600); err != nil {
		return err
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
