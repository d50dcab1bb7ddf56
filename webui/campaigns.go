package webui

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"left4me/hostops/ctl"
	"left4me/models"
)

// campaignList is where a map is chosen: campaign, then mode, then chapter.
type campaignList struct {
	Path   string // of the blueprint; "" for one that is not made yet
	Groups []campaignGroup
}

func (campaignList) template() string { return "campaign_list.html" }

// campaignGroup is what one overlay brings, or the game itself.
type campaignGroup struct {
	From      string
	Campaigns []ctl.Campaign
}

// Count is how many campaigns there are.
func (l campaignList) Count() int {
	n := 0
	for _, g := range l.Groups {
		n += len(g.Campaigns)
	}
	return n
}

// Value is what +map takes for a chapter played in a mode.
func (campaignList) Value(mode ctl.Mode, chapter ctl.Chapter) string {
	return chapter.Map + " " + mode.Name
}

// Title is a chapter as people call it.
func (campaignList) Title(c ctl.Chapter) string {
	if c.Title != "" {
		return c.Title
	}
	return c.Map
}

// campaignPage is the list on a page of its own, for browsers without scripts.
type campaignPage struct {
	Layout layout
	List   campaignList
	Name   string
}

func (campaignPage) template() string { return "campaigns.html" }

// campaignsOf lists the campaigns that servers of a blueprint can play: what its
// overlays bring, then the game's own.
func (s *Server) campaignsOf(ctx context.Context, overlays []models.Overlay) ([]campaignGroup, error) {
	reports, err := s.reportsOf(ctx, overlays)
	if err != nil {
		return nil, err
	}
	var groups []campaignGroup
	for i, o := range overlays {
		if list := playable(reports[i].Campaigns); len(list) > 0 {
			groups = append(groups, campaignGroup{o.Name, list})
		}
	}
	return append(groups, campaignGroup{"The game", ctl.BuiltInCampaigns()}), nil
}

// playable leaves out what has no map: a mission file may list modes only.
func playable(list []ctl.Campaign) []ctl.Campaign {
	var out []ctl.Campaign
	for _, c := range list {
		for _, m := range c.Modes {
			if len(m.Chapters) > 0 {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

// showCampaigns answers a script with the list alone.
func (s *Server) showCampaigns(c *gin.Context) error {
	ctx := c.Request.Context()
	b, err := models.BlueprintByID(ctx, s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	list := campaignList{Path: "/blueprints/" + b.ID}
	if list.Groups, err = s.campaignsOf(ctx, b.Overlays); err != nil {
		return err
	}
	if isHX(c) {
		return s.show(c, http.StatusOK, list)
	}
	l, err := s.layout(c, "Choose a map", "blueprints")
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, campaignPage{Layout: l, List: list, Name: b.Name})
}

// showOwnCampaigns is the game's own campaigns, for a blueprint that is not made
// yet.
func (s *Server) showOwnCampaigns(c *gin.Context) error {
	return s.show(c, http.StatusOK, campaignList{Groups: []campaignGroup{{"The game", ctl.BuiltInCampaigns()}}})
}

// setMap makes a map the first one of a blueprint, without a script.
func (s *Server) setMap(c *gin.Context) error {
	ctx := c.Request.Context()
	b, err := models.BlueprintByID(ctx, s.DB, user(c).ID, c.Param("id"))
	if err != nil {
		return err
	}
	b.Arguments = withMap(b.Arguments, c.PostForm("map"))
	if err := s.saveBlueprint(c, b); err != nil {
		return err
	}
	s.flash(c, "saved")
	return goTo(c, "/blueprints/"+b.ID)
}

// withMap replaces what +map is in an argv, or adds it. An empty choice takes it
// away.
func withMap(argv []string, choice string) []string {
	out := make([]string, 0, len(argv)+2)
	put := func() {
		if choice != "" {
			out, choice = append(out, "+map", choice), ""
		}
	}
	for i := 0; i < len(argv); i++ {
		word, rest, _ := strings.Cut(strings.TrimSpace(argv[i]), " ")
		if !strings.EqualFold(word, "+map") {
			out = append(out, argv[i])
			continue
		}
		put()
		// Its value is the next argument, unless that is an option itself.
		if rest == "" && i+1 < len(argv) && !strings.HasPrefix(argv[i+1], "+") && !strings.HasPrefix(argv[i+1], "-") {
			i++
			// A mode may stand apart: +map c1m1_hotel versus.
			if i+1 < len(argv) && !strings.Contains(argv[i], " ") && !strings.HasPrefix(argv[i+1], "+") && !strings.HasPrefix(argv[i+1], "-") {
				i++
			}
		}
	}
	put()
	return out
}
