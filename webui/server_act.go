package webui

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/uptrace/bun"

	"left4me/jobs"
)

// startGap lies between the starts of servers that are started together: a game that
// loads takes a core of the host for some seconds.
const startGap = 3 * time.Second

// serverAct is something that can be done to many servers at once.
type serverAct struct {
	verb   string
	may    func(serverView) bool // it would change something
	args   func(id string) jobs.Args
	gap    time.Duration
	throws bool // players out, so it asks first
	flash  string
}

var serverActs = map[string]serverAct{
	"start": {
		verb: "Start", may: serverView.CanStart, gap: startGap, flash: "starting",
		args: func(id string) jobs.Args { return jobs.StartServer{ServerID: id} },
	},
	"stop": {
		verb: "Stop", may: serverView.CanStop, throws: true, flash: "stopping",
		args: func(id string) jobs.Args { return jobs.StopServer{ServerID: id} },
	},
	"restart": {
		verb: "Restart", may: serverView.CanStop, gap: startGap, throws: true, flash: "restarting",
		args: func(id string) jobs.Args { return jobs.RestartServer{ServerID: id} },
	},
	"apply": {
		verb: "Apply changes to", may: func(v serverView) bool { return !v.Deleting() }, flash: "applying",
		args: func(id string) jobs.Args { return jobs.ApplyBlueprint{ServerID: id} },
	},
}

// actOnServers does one thing to all servers that were chosen from the list: to all
// of them or, when one of them is not the user's, to none.
func (s *Server) actOnServers(c *gin.Context) error {
	act, known := serverActs[c.PostForm("act")]
	if !known {
		return refusedAct("Choose what to do: start, stop, restart or apply changes.")
	}
	all, err := s.serverViews(c.Request.Context(), user(c), s.publicHost(c.Request))
	if err != nil {
		return err
	}
	chosen, err := chosenServers(all, c.PostFormArray("server"))
	if err != nil {
		return err
	}
	todo := slices.DeleteFunc(chosen, func(v serverView) bool { return !act.may(v) })
	if len(todo) == 0 {
		return refusedAct("None of the chosen servers is in a state for that, so nothing was done. The list shows how they stand now.")
	}
	if act.throws {
		ok, err := s.sure(c, "servers", askAct(act, todo))
		if !ok || err != nil {
			return err
		}
	}
	_, err = s.Jobs.EnqueueWith(c.Request.Context(), actor(c), func(context.Context, bun.Tx) ([]jobs.Args, error) {
		list := make([]jobs.Args, len(todo))
		for i, v := range todo {
			list[i] = jobs.Later{Args: act.args(v.Server.ID), Wait: time.Duration(i) * act.gap}
		}
		return list, nil
	})
	if err != nil {
		return err
	}
	s.flash(c, act.flash)
	return goTo(c, "/servers")
}

func refusedAct(text string) error {
	return &failure{status: http.StatusUnprocessableEntity, title: "Nothing was done", text: text}
}

// chosenServers finds the servers of these names on the host among the user's own.
func chosenServers(all []serverView, names []string) ([]serverView, error) {
	if len(names) == 0 {
		return nil, refusedAct("Choose at least one server: tick the box beside its name.")
	}
	var chosen []serverView
	for _, v := range all {
		if slices.Contains(names, v.Server.Instance) {
			chosen = append(chosen, v)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(chosen) {
		return nil, refusedAct("One of the chosen servers is not there any more, so none was touched. Load the list again and choose anew.")
	}
	return chosen, nil
}

// askAct is the question before people are thrown out.
func askAct(act serverAct, todo []serverView) confirmPage {
	players, names := 0, ""
	for i, v := range todo {
		if live := v.Live(); live != nil {
			players += live.Players
		}
		switch {
		case i == 10:
			names += fmt.Sprintf(" and %d more", len(todo)-i)
		case i < 10 && i > 0:
			names += ", " + v.Server.Name
		case i == 0:
			names = v.Server.Name
		}
	}
	text := "Nobody plays on " + map[bool]string{true: "it", false: "them"}[len(todo) == 1] + " now: " + names + "."
	if players > 0 {
		text = fmt.Sprintf("%s will be thrown out. It is about %s.", count(players, "player"), names)
	}
	what := act.verb + " " + count(len(todo), "server")
	return confirmPage{Heading: what + "?", Text: text, Button: what, Back: "/servers", Keep: "Leave as it is"}
}
