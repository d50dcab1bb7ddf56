package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"left4me/hostops/advice"
	"left4me/hostops/ctl"
	"left4me/hostops/gamefiles"
	"left4me/hostops/overlay"
	"left4me/hostops/recipes"
	"left4me/hostops/servercfg"
	"left4me/webui"
)

// content is what pages see of the overlays below a state root.
type content struct {
	*overlay.Store
	cfg   servercfg.Reader
	games *gamefiles.Reader
}

// newContent makes the pages' view of a state root. Without one, as on a machine
// that is not the host, it is nil and pages say so.
func newContent(root string, log *slog.Logger) webui.Content {
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		log.Warn("the state root is not here, so pages cannot show files or take uploads", "root", root, "err", err)
		return nil
	}
	store, cfg := &overlay.Store{Root: root}, servercfg.Overlays(filepath.Join(root, "overlays"))
	return content{store, cfg, &gamefiles.Reader{Root: root, Overlays: store, Cfg: cfg}}
}

// Open implements webui.Content.
func (c content) Open(id, version int64, path string) (webui.File, error) {
	return c.Store.Open(id, version, path)
}

// Written implements webui.Content.
func (c content) Written(instance, dir string) (*ctl.GameFolder, error) {
	return c.games.Written(instance, dir)
}

// Seen implements webui.Content.
func (c content) Seen(instance string, spec ctl.Spec, dir string) (*ctl.GameFolder, error) {
	return c.games.Seen(instance, spec, dir)
}

// OpenSeen implements webui.Content.
func (c content) OpenSeen(instance string, spec ctl.Spec, path string) (webui.File, error) {
	return c.games.Open(instance, spec, path)
}

// Image implements webui.Content.
func (c content) Image(item string) (webui.File, string, error) { return c.Store.Image(item) }

// Avatar implements webui.Content.
func (c content) Avatar(sum string) (webui.File, string, error) { return c.Store.Avatar(sum) }

// OpenUpload implements webui.Content.
func (c content) OpenUpload(upload string) (webui.File, error) { return c.Store.OpenUpload(upload) }

// ServerCfg implements webui.Content.
func (c content) ServerCfg(spec ctl.Spec) (string, []string, error) {
	return servercfg.Preview(spec, c.cfg)
}

// Advice implements webui.Content.
func (c content) Advice(spec ctl.Spec) []ctl.Notice {
	return append(advice.Refused(spec.Arguments), advice.Of(spec, advice.Layers{Root: c.Root, Refs: spec.Overlays})...)
}

// Recipes implements webui.Content.
func (content) Recipes() []ctl.Recipe { return recipes.All() }
