package webui

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"left4me/hostops/ctl"
	"left4me/models"
)

// cfgPreview is cfg/server.cfg as the game would get it.
type cfgPreview struct {
	Path    string
	Text    string
	Notices []string
	Problem string
}

func (cfgPreview) template() string { return "cfg_preview.html" }

func (s *Server) cfgPreview(b *models.Blueprint, config string) cfgPreview {
	v := cfgPreview{Path: "/blueprints/" + b.ID}
	if s.Content == nil {
		v.Problem = noContent.text
		return v
	}
	spec := ctl.Spec{Port: 27015, Hostname: "the server's own name", RCONPassword: "hidden00", Config: config}
	for _, o := range b.Overlays {
		if o.Version == 0 {
			continue
		}
		spec.Overlays = append(spec.Overlays, o.Ref())
		if o.Exec {
			spec.Exec = append(spec.Exec, o.Ref())
		}
	}
	var err error
	if v.Text, v.Notices, err = s.Content.ServerCfg(spec); err != nil {
		v.Problem = sentence(err.Error())
	}
	return v
}

// previewConfig changes nothing; it is a POST because a config may be long.
func (s *Server) previewConfig(c *gin.Context) error {
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, s.cfgPreview(b, c.PostForm("config")))
}
