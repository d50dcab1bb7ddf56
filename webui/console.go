package webui

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/jobs"
	"left4me/models"
)

const (
	exchangesPerPage = 50
	shortReply       = models.CommandReplyPart - 1 // bytes of an answer that the page shows of all but the newest
)

// exchange is something that was told to the game, with its answer. Its words and the
// game's are strangers' text.
type exchange struct {
	Command models.ConsoleCommand
	Whole   string // the address of its whole answer, where the page shows a part
	reply   string
}

// Reply is the answer as the page shows it, line by line.
func (e exchange) Reply() string {
	lines := strings.Split(e.reply, "\n")
	for i := range lines {
		lines[i] = cleanText(lines[i])
	}
	return strings.Join(lines, "\n")
}

// State is how far it is; none for what was answered.
func (e exchange) State() *stateView {
	switch e.Command.State {
	case models.CommandQueued:
		return &stateView{"Waiting", "busy"}
	case models.CommandRunning:
		return &stateView{"Sent", "busy"}
	case models.CommandFailed:
		return &stateView{"Failed", "bad"}
	}
	return nil
}

// Silent says that the game did it and printed nothing.
func (e exchange) Silent() bool { return e.Command.State == models.CommandDone && e.reply == "" }

// Typed is the line to repeat, "" for what was not typed here.
func (e exchange) Typed() string {
	if e.Command.Verb != models.CommandRCON {
		return ""
	}
	return cleanText(e.Command.Line)
}

// exchanges is a page of what a game was told, oldest first.
type exchanges struct {
	List    []exchange
	Earlier string // the address of the page before, "" when there is none
	Newest  bool   // this is the last page
	Up      bool
}

func (exchanges) template() string  { return "console_exchanges.html" }
func (exchanges) elementID() string { return "exchanges" }

// consoleForm is the line to type.
type consoleForm struct {
	Path    string
	Command string
	Problem string
}

func (consoleForm) template() string { return "console_form.html" }

type serverConsolePage struct {
	serverFrame
	Exchanges exchanges
	Form      consoleForm
}

func (serverConsolePage) template() string { return "server_console.html" }

func (s *Server) showConsole(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	return s.renderConsole(c, http.StatusOK, v, consoleForm{Path: v.Path()})
}

func (s *Server) renderConsole(c *gin.Context, status int, v serverView, form consoleForm) error {
	before := c.Query("before")
	list, err := s.exchanges(c.Request.Context(), v, before)
	if err != nil {
		return err
	}
	feeds := []string{}
	if before == "" {
		feeds = append(feeds, "server-console:"+v.Server.Instance)
	}
	frame, err := s.serverFrame(c, v, "/console", feeds...)
	if err != nil {
		return err
	}
	frame.Layout.Scripts = []string{"console.js"}
	return s.show(c, status, serverConsolePage{frame, list, form})
}

// exchanges reads the page before the command before, or the newest one for "".
func (s *Server) exchanges(ctx context.Context, v serverView, before string) (exchanges, error) {
	rows, err := models.ConsoleCommands(ctx, s.DB, v.Server.ID, before, exchangesPerPage+1)
	if err != nil {
		return exchanges{}, err
	}
	list := exchanges{Newest: before == "", Up: v.Up()}
	if len(rows) > exchangesPerPage {
		rows = rows[:exchangesPerPage]
		list.Earlier = v.Path() + "/console?before=" + rows[exchangesPerPage-1].ID
	}
	if len(rows) > 0 && len(rows[0].Reply) > shortReply { // the newest is shown whole
		whole, err := models.ConsoleCommandOf(ctx, s.DB, v.Server.ID, rows[0].ID)
		if err != nil {
			return exchanges{}, err
		}
		rows[0] = *whole
	}
	now := models.Now()
	for i := len(rows) - 1; i >= 0; i-- {
		e := exchange{Command: rows[i].Now(now), reply: rows[i].Reply}
		if i > 0 && len(e.reply) > shortReply {
			e.reply, e.Whole = clip(e.reply, shortReply), v.Path()+"/console/"+rows[i].ID
		}
		list.List = append(list.List, e)
	}
	return list, nil
}

// sendCommand sends a typed line to the game. The answer comes with the live stream,
// or on the page that the form returns to.
func (s *Server) sendCommand(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	line := c.PostForm("command")
	_, err = s.Jobs.Command(c.Request.Context(), actor(c), v.Server, jobs.Command{
		Verb: models.CommandRCON, CommandArguments: models.CommandArguments{Text: line},
	})
	if bad, ok := models.AsInvalid(err); ok {
		form := consoleForm{Path: v.Path(), Command: line, Problem: bad.Message}
		if isHX(c) {
			return s.show(c, http.StatusUnprocessableEntity, form)
		}
		return s.renderConsole(c, http.StatusUnprocessableEntity, v, form)
	}
	if err != nil {
		return err
	}
	if isHX(c) {
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
		return nil
	}
	return goTo(c, v.Path()+"/console#end")
}

// showReply is the whole answer to one command, as text.
func (s *Server) showReply(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	row, err := models.ConsoleCommandOf(c.Request.Context(), s.DB, v.Server.ID, c.Param("command"))
	if err != nil {
		return err
	}
	c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte(exchange{reply: row.Reply}.Reply()+"\n"))
	return nil
}

// serverConsoleFeed renews the newest exchanges.
func (s *Server) serverConsoleFeed(ctx context.Context, u *models.User, host, instance string) (*feed, error) {
	if _, err := models.ServerByInstance(ctx, s.DB, u.ID, instance); err != nil {
		return nil, err
	}
	return &feed{gone: "/servers", prompt: true, render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.serverView(ctx, u, instance, host)
		if err != nil {
			return nil, nil, err
		}
		list, err := s.exchanges(ctx, v, "")
		return []fragment{list}, []string{jobs.TopicCommands(v.Server.ID), jobs.TopicServer(v.Server.ID)}, err
	}}, nil
}

// serverMapPage is where another map is chosen for a game that runs.
type serverMapPage struct {
	Layout layout
	Head   serverHead
	List   campaignList
}

func (serverMapPage) template() string { return "server_map.html" }

// CannotChange is why the map cannot be changed now, "" when it can.
func (v serverView) CannotChange() string {
	if v.Server.Observed != models.ServerRunning || v.Deleting() {
		return "The map can be changed while the game runs. Start the server first."
	}
	return ""
}

func (s *Server) showServerMaps(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	b, err := models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, v.Server.BlueprintID)
	if err != nil {
		return err
	}
	page := serverMapPage{Head: serverHead{v}, List: campaignList{Path: v.Path()}}
	if page.List.Groups, err = s.campaignsOf(c.Request.Context(), b.Overlays); err != nil {
		return err
	}
	if page.Layout, err = s.layout(c, "Change the map", "servers", "server:"+v.Server.Instance); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, page)
}

// changeMap tells the players and then the game. How it went stands in the console.
func (s *Server) changeMap(c *gin.Context) error {
	v, err := s.tabView(c)
	if err != nil {
		return err
	}
	if why := v.CannotChange(); why != "" {
		return models.Invalid("map", why)
	}
	name, mode, _ := strings.Cut(c.PostForm("map"), " ")
	list := []jobs.Command{{Verb: models.CommandMap, CommandArguments: models.CommandArguments{Map: name, Mode: mode}}}
	if live := v.Live(); live == nil || live.Players > 0 {
		title, _ := mapTitle(name)
		words := models.CommandArguments{Text: clip("The map changes to "+title+".", 180)}
		list = append([]jobs.Command{{Verb: models.CommandSay, CommandArguments: words}}, list...)
	}
	if _, err := s.Jobs.Commands(c.Request.Context(), actor(c), v.Server, list...); err != nil {
		return err
	}
	return goTo(c, v.Path()+"/console#end")
}

// Took is how long the answer took.
func (e exchange) Took() string {
	c := e.Command
	if c.State != models.CommandDone || c.FinishedAt.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d ms", c.FinishedAt.Sub(c.CreatedAt)/time.Millisecond)
}
