package webui

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"path"

	"github.com/gin-gonic/gin"

	"left4me/hostops/ctl"
	"left4me/models"
)

// stackPage shows what a game with this blueprint would see, folder by folder,
// and which layer each entry comes from.
type stackPage struct {
	Layout  layout
	Path    string
	Stack   *ctl.Stack
	Names   []string // of the layers, as people call them
	Folders []crumb
	Missing []string // overlays without content
}

func (stackPage) template() string { return "stack.html" }

// crumb is one folder on the way to the one that is shown.
type crumb struct{ Name, Dir string }

// From is the name of the layer that an entry comes from.
func (p stackPage) From(e ctl.StackEntry) string {
	if len(e.Layers) == 0 {
		return ""
	}
	return p.Names[e.Layers[0]]
}

// Hidden are the names of the layers whose file of the same name nobody sees.
func (p stackPage) Hidden(e ctl.StackEntry) []string {
	if e.Dir || len(e.Layers) < 2 {
		return nil
	}
	var names []string
	for _, i := range e.Layers[1:] {
		names = append(names, p.Names[i])
	}
	return names
}

// Merged are the names of the layers whose folders of the same name are one.
func (p stackPage) Merged(e ctl.StackEntry) []string {
	if !e.Dir {
		return nil
	}
	var names []string
	for _, i := range e.Layers {
		names = append(names, p.Names[i])
	}
	return names
}

// In is the address of a folder of the stack.
func (p stackPage) In(dir string) string {
	if dir == "" {
		return p.Path + "/stack"
	}
	return p.Path + "/stack?dir=" + url.QueryEscape(dir)
}

// Base is the last part of a path.
func (stackPage) Base(p string) string { return path.Base(p) }

var noContent = &failure{
	status: http.StatusServiceUnavailable, title: "Files cannot be shown here",
	text: "This web app does not see the host's folder of overlays. Whoever runs it can set LEFT4ME_ROOT.",
}

func (s *Server) showStack(c *gin.Context) error {
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	if s.Content == nil {
		return noContent
	}
	p := stackPage{Path: "/blueprints/" + b.ID, Folders: crumbs(c.Query("dir"))}
	var refs []string
	for _, o := range b.Overlays {
		if o.Version == 0 {
			p.Missing = append(p.Missing, o.Name)
			continue
		}
		refs, p.Names = append(refs, o.Ref()), append(p.Names, o.Name)
	}
	p.Names = append(p.Names, "The game")
	p.Stack, err = s.Content.Stack(refs, c.Query("dir"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return models.ErrNotFound
	} else if err != nil {
		return err
	}
	if p.Layout, err = s.layout(c, "What "+b.Name+" comes to", "blueprints"); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, p)
}

// crumbs lists the folders on the way to dir, itself last.
func crumbs(dir string) []crumb {
	var list []crumb
	for d := dir; d != "" && d != "." && d != "/"; d = path.Dir(d) {
		list = append([]crumb{{path.Base(d), d}}, list...)
		if len(list) > 64 {
			return nil
		}
	}
	return list
}
