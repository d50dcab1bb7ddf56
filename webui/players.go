package webui

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"

	"left4me/hostops/ctl"
	"left4me/jobs"
	"left4me/models"
)

// person is a player as pages show them: by the name that Steam tells, or that they
// have in the game. Both are strangers' texts.
type person struct {
	SteamID string // 17 digits, "" where the game told none
	InGame  string
	Steam   string // the name at Steam, "" when it is not known
	Picture bool   // there is a picture of them
}

// Name is what they are called.
func (p person) Name() string {
	if p.Steam != "" {
		return p.Steam
	}
	if strings.TrimSpace(p.InGame) == "" {
		return "somebody without a name"
	}
	return p.InGame
}

// Also is the name in the game where it differs from the one at Steam.
func (p person) Also() string {
	if p.Steam == "" || p.Steam == p.InGame {
		return ""
	}
	return p.InGame
}

// Initial stands in the place of a picture.
func (p person) Initial() string {
	for _, r := range p.Name() {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "?"
}

// Hue colours that place: always the same for the same person.
func (p person) Hue() string {
	_, hue := mapTitle(p.SteamID + p.Name())
	return "h" + strconv.Itoa(hue)
}

// Avatar is the address of their picture.
func (p person) Avatar() string { return "/players/" + p.SteamID + "/avatar" }

// Profile is their page at Steam, "" when nobody knows which it is.
func (p person) Profile() string {
	if p.SteamID == "" {
		return ""
	}
	return "https://steamcommunity.com/profiles/" + p.SteamID
}

// people makes persons of Steam ids and names in the game, in their order.
func (s *Server) people(ctx context.Context, list []person) ([]person, error) {
	var ids []string
	for _, p := range list {
		if p.SteamID != "" {
			ids = append(ids, p.SteamID)
		}
	}
	known, err := models.SteamProfiles(ctx, s.DB, ids)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if profile, ok := known[list[i].SteamID]; ok {
			list[i].Steam, list[i].Picture = profile.Name, profile.Avatar != "" && s.Content != nil
		}
	}
	return list, nil
}

// playerView is somebody who is on a server now.
type playerView struct {
	person
	Seen models.Player
}

// Grade says in a word what a ping is like.
func (p playerView) Grade() stateView {
	switch {
	case p.Seen.Ping <= 0:
		return stateView{"joining", "off"}
	case p.Seen.Ping <= 80:
		return stateView{"good", "ok"}
	case p.Seen.Ping <= 160:
		return stateView{"fair", "warn"}
	}
	return stateView{"bad", "bad"}
}

// playersNow is who is on a server, and what was done with players lately.
type playersNow struct {
	serverView
	List   []playerView
	Orders []orderView
	Bans   []banView
	Terms  []int // of bans, in minutes; 0 is for ever
}

func (playersNow) template() string  { return "players_now.html" }
func (playersNow) elementID() string { return "players-now" }

// orderView is something that was told to the game about a player.
type orderView struct{ models.ConsoleCommand }

// State is how far it came.
func (o orderView) State() stateView {
	switch o.ConsoleCommand.State {
	case models.CommandDone:
		return stateView{"Done", "ok"}
	case models.CommandFailed:
		return stateView{"Failed", "bad"}
	}
	return stateView{"Under way", "busy"}
}

// ordersShown is how many of the latest orders are shown.
const ordersShown = 5

func (s *Server) playersNow(ctx context.Context, v serverView) (playersNow, error) {
	out := playersNow{serverView: v, Terms: []int{30, 60, 60 * 24, 60 * 24 * 7, 0}}
	if live := v.Live(); live != nil {
		var list []person
		for _, p := range live.Names {
			id, _ := ctl.SteamID64(p.SteamID)
			list = append(list, person{SteamID: id, InGame: p.Name})
		}
		list, err := s.people(ctx, list)
		if err != nil {
			return out, err
		}
		for i, p := range live.Names {
			out.List = append(out.List, playerView{list[i], p})
		}
	}
	told, err := models.PlayerCommands(ctx, s.DB, v.Server.ID)
	if err != nil {
		return out, err
	}
	now := models.Now()
	for _, c := range told[:min(len(told), ordersShown)] {
		out.Orders = append(out.Orders, orderView{c.Now(now)})
	}
	out.Bans, err = s.bans(ctx, v, told)
	return out, err
}

// Whose is what a confirmation calls a player.
func (p playerView) Whose() string { return cleanText(clip(p.Name(), 60)) }

type playersPage struct {
	serverFrame
	Now  playersNow
	Past visitList
}

func (playersPage) template() string { return "players.html" }

// visitList is who was on a server within a span of time.
type visitList struct {
	Path  string
	Span  string
	Spans []spanLink
	List  []visitView
	More  bool // others played less
}

// spanLink chooses a span of time.
type spanLink struct {
	Word, Key string
	Current   bool
}

type visitView struct {
	person
	Visit models.PlayerVisit
}

// visitsShown bounds the list of who played.
const visitsShown = 100

func (s *Server) visits(ctx context.Context, v serverView, span string) (visitList, error) {
	out := visitList{Path: v.Path() + "/players", Span: span}
	words := map[string]string{"day": "Last 24 hours", "yesterday": "Yesterday", "week": "Last 7 days"}
	if words[span] == "" {
		out.Span = "day"
	}
	for _, key := range []string{"day", "yesterday", "week"} {
		out.Spans = append(out.Spans, spanLink{words[key], key, key == out.Span})
	}
	now := time.Now()
	var list []models.PlayerVisit
	var err error
	switch out.Span {
	case "yesterday":
		list, err = models.PlayersOnDay(ctx, s.DB, v.Server.ID, now.AddDate(0, 0, -1), visitsShown+1)
	case "week":
		list, err = models.PlayersBetween(ctx, s.DB, v.Server.ID, now.AddDate(0, 0, -7), now, visitsShown+1)
	default:
		list, err = models.PlayersBetween(ctx, s.DB, v.Server.ID, now.Add(-24*time.Hour), now, visitsShown+1)
	}
	if err != nil {
		return out, err
	}
	if out.More = len(list) > visitsShown; out.More {
		list = list[:visitsShown]
	}
	persons := make([]person, len(list))
	for i, visit := range list {
		persons[i] = person{SteamID: visit.SteamID, InGame: visit.Name}
	}
	if persons, err = s.people(ctx, persons); err != nil {
		return out, err
	}
	for i := range list {
		out.List = append(out.List, visitView{persons[i], list[i]})
	}
	return out, nil
}

func (s *Server) showPlayers(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	now, err := s.playersNow(c.Request.Context(), v)
	if err != nil {
		return err
	}
	past, err := s.visits(c.Request.Context(), v, c.Query("span"))
	if err != nil {
		return err
	}
	frame, err := s.serverFrame(c, v, "/players", "server-players:"+v.Server.Instance)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, playersPage{frame, now, past})
}

// playersFeed shows who is on a server, live.
func (s *Server) playersFeed(u *models.User, host, instance string) *feed {
	return &feed{gone: "/servers", render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.serverView(ctx, u, instance, host)
		if err != nil {
			return nil, nil, err
		}
		now, err := s.playersNow(ctx, v)
		return []fragment{now}, []string{jobs.TopicServer(v.Server.ID), jobs.TopicCommands(v.Server.ID), jobs.TopicPlayers()}, err
	}}
}

func (s *Server) kickPlayer(c *gin.Context) error {
	return s.orderPlayer(c, models.CommandKick, "Kick", "They may come back at once.")
}

func (s *Server) banPlayer(c *gin.Context) error {
	return s.orderPlayer(c, models.CommandBan, "Ban", "They are sent away, and cannot join this server until the ban ends.")
}

func (s *Server) unbanPlayer(c *gin.Context) error {
	return s.orderPlayer(c, models.CommandUnban, "Unban", "They may join this server again.")
}

// orderPlayer has the game do something with the player whose Steam id the form
// names. A name only ever stands in the question.
func (s *Server) orderPlayer(c *gin.Context, verb models.CommandVerb, word, text string) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	back := v.Path() + "/players"
	minutes, err := strconv.Atoi(c.DefaultPostForm("minutes", "0"))
	if err != nil {
		minutes = -1 // refused, with the sentence about minutes
	}
	who := cleanText(clip(c.PostForm("name"), 60))
	if who == "" {
		who = cleanText(clip(c.PostForm("steam_id"), 40))
	}
	ok, err := s.sure(c, "servers", confirmPage{Heading: word + " “" + who + "”?", Text: text, Button: word + " them", Back: back})
	if !ok || err != nil {
		return err
	}
	_, err = s.Jobs.Command(c.Request.Context(), actor(c), v.Server, jobs.Command{Verb: verb, CommandArguments: models.CommandArguments{
		SteamID: c.PostForm("steam_id"), Minutes: minutes, Reason: c.PostForm("reason"),
	}})
	if bad, invalid := models.AsInvalid(err); invalid {
		return &failure{status: http.StatusUnprocessableEntity, title: "That does not work", text: bad.Message}
	} else if err != nil {
		return err
	}
	if !isHX(c) {
		return goTo(c, back)
	}
	now, err := s.playersNow(c.Request.Context(), v)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, now)
}

// playerAvatar is the picture of somebody who is or was on a server of the user's.
func (s *Server) playerAvatar(c *gin.Context) error {
	if s.Content == nil {
		return models.ErrNotFound
	}
	sum, err := models.AvatarFor(c.Request.Context(), s.DB, user(c).ID, c.Param("steamid"))
	if err != nil {
		return err
	}
	f, kind, err := s.Content.Avatar(sum)
	return sendPicture(c, f, kind, err)
}

// At is the address of the list over another span.
func (l visitList) At(key string) string { return l.Path + "?" + url.Values{"span": {key}}.Encode() }

// banTerm is how long a ban lasts, in words.
func banTerm(minutes int) string {
	switch {
	case minutes == 0:
		return "for ever"
	case minutes%(7*24*60) == 0:
		return count(minutes/(7*24*60), "week")
	case minutes%(24*60) == 0:
		return count(minutes/(24*60), "day")
	case minutes%60 == 0:
		return count(minutes/60, "hour")
	}
	return count(minutes, "minute")
}
