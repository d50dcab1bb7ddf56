package webui

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"left4me/hostops/ctl"
	"left4me/models"
)

// cfgPreview is cfg/server.cfg as the game would get it, and what its author may not
// expect of it.
type cfgPreview struct {
	Path    string
	Text    string
	Notices []ctl.Notice
	Problem string
}

func (cfgPreview) template() string { return "cfg_preview.html" }

// specOfDraft is what a host would be given of a blueprint, nil for one that is not
// made yet: of no server, without arguments and config, and with those overlays that
// have content. Nothing in it comes from the platform's own settings.
func specOfDraft(b *models.Blueprint) ctl.Spec {
	spec := ctl.Spec{Port: 27015}
	if b == nil {
		return spec
	}
	for _, o := range b.Overlays {
		if o.Version == 0 {
			continue
		}
		spec.Overlays = append(spec.Overlays, o.Ref())
		if o.Exec {
			spec.Exec = append(spec.Exec, o.Ref())
		}
	}
	return spec
}

func (s *Server) cfgPreview(b *models.Blueprint, config string) cfgPreview {
	v := cfgPreview{Path: "/blueprints/" + b.ID}
	if s.Content == nil {
		v.Problem = noContent.text
		return v
	}
	spec := specOfDraft(b)
	spec.Hostname, spec.RCONPassword, spec.Config = "the server's own name", "hidden00", config
	text, notices, err := s.Content.ServerCfg(spec)
	if err != nil {
		v.Problem = sentence(err.Error())
		return v
	}
	v.Text = text
	for _, n := range notices {
		v.Notices = append(v.Notices, ctl.Notice{Field: "config", Text: n})
	}
	for _, n := range s.advice(b, nil, config) {
		if n.Field == "config" {
			v.Notices = append(v.Notices, n)
		}
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
