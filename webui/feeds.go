package webui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"left4me/jobs"
	"left4me/models"
)

// feed is one thing that a page shows live: fragments that are rendered again
// when something changed, a log that grows, or both.
type feed struct {
	name string
	// render reads rows and returns what the page should show now, with the hub's
	// topics that say when to look again. nil for a feed that is only a log.
	render func(context.Context) (frags []fragment, topics []string, err error)
	topics []string // those of the last look
	has    bool     // the page brought with it what the last look came to
	log    follower // nil for none
	prompt bool     // people wait for it: it is rendered as soon as it changes
	watch  string   // the instance whose console must be watched, "" for none
	// watched is when that was said last.
	watched time.Time
	// ended says that the log will get no more lines. nil: it never ends.
	ended func(context.Context) (bool, error)
	// gone is where the page goes when what it shows does not exist any more.
	gone string
}

// follower is what jobs.JobFollower and jobs.ConsoleFollower have in common.
type follower interface {
	Replay(context.Context) (lines []jobs.Line, more bool, err error)
	Take(context.Context, jobs.Message) (lines []jobs.Line, more bool, err error)
	Missed() int64
	at() string
	begunAnew() bool
}

type jobLog struct{ *jobs.JobFollower }

func (l jobLog) at() string    { return strconv.FormatInt(l.Cursor(), 10) }
func (jobLog) begunAnew() bool { return false }

type consoleLog struct{ *jobs.ConsoleFollower }

func (l consoleLog) at() string      { return l.Cursor() }
func (l consoleLog) begunAnew() bool { return l.Reset() }

const maxFeeds = 8

// openFeeds checks the right to every feed that is asked for: one that does not
// exist, or is somebody else's, is ErrNotFound for all of them.
func (s *Server) openFeeds(ctx context.Context, u *models.User, host, names string, after cursors) ([]*feed, error) {
	list := strings.Split(names, ",")
	slices.Sort(list)
	list = slices.Compact(list)
	if len(list) > maxFeeds {
		return nil, fmt.Errorf("%d feeds asked for: %w", len(list), models.ErrNotFound)
	}
	feeds := make([]*feed, 0, len(list))
	for _, name := range list {
		f, err := s.openFeed(ctx, u, host, name, after[name])
		if err != nil {
			return nil, err
		}
		f.name = name
		feeds = append(feeds, f)
	}
	return feeds, nil
}

func (s *Server) openFeed(ctx context.Context, u *models.User, host, name, after string) (*feed, error) {
	if err := s.decideFeed(ctx, u, name); err != nil {
		return nil, err
	}
	kind, arg, _ := strings.Cut(name, ":")
	switch {
	case name == "strip":
		return s.stripFeed(u), nil
	case name == "servers":
		return s.serversFeed(u, host, after), nil
	case name == "blueprints":
		return s.blueprintsFeed(u), nil
	case name == "admin-health":
		return s.adminHealthFeed(u), nil
	case name == "admin-host":
		return s.hostFeed(u), nil
	case name == "admin-schedules":
		return s.schedulesFeed(u), nil
	case name == "game":
		return s.gameFeed(u), nil
	case name == "jobs:" || name == "jobs:unfinished":
		return s.jobsFeed(u, arg), nil
	case kind == "server":
		return s.serverFeed(ctx, u, host, arg)
	case kind == "server-now":
		return s.serverNowFeed(ctx, u, host, arg)
	case kind == "server-console":
		return s.serverConsoleFeed(ctx, u, host, arg)
	case kind == "server-players":
		return s.playersFeed(u, host, arg), nil
	case kind == "server-jobs":
		return s.serverJobsFeed(ctx, u, arg)
	case kind == "console":
		return s.consoleFeed(ctx, u, arg, after)
	case kind == "blueprint":
		return s.blueprintFeed(ctx, u, host, arg)
	case name == "overlays":
		return s.overlaysFeed(u), nil
	case kind == "overlay":
		return s.overlayFeed(ctx, u, arg)
	case kind == "job":
		return s.jobFeed(ctx, u, arg, after)
	}
	return nil, fmt.Errorf("feed %q: %w", clip(name, 60), models.ErrNotFound)
}

// jobsTopic is every job that the user may see.
func jobsTopic(u *models.User) string {
	if u.Admin {
		return jobs.TopicJobs("")
	}
	return jobs.TopicJobs(u.ID)
}

func (s *Server) stripFeed(u *models.User) *feed {
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.strip(ctx, u)
		return []fragment{v}, []string{jobsTopic(u)}, err
	}}
}

// serversFeed sends cards one by one as they change, and the whole list when
// servers came or went or the first steps are on the page. seen is the print of the
// list that the page came with: when it is still like that nothing is sent.
func (s *Server) serversFeed(u *models.User, host, seen string) *feed {
	var shown []string
	f := &feed{}
	f.render = func(ctx context.Context) ([]fragment, []string, error) {
		g, err := s.serverGrid(ctx, u, host)
		if err != nil {
			return nil, nil, err
		}
		topics := []string{jobsTopic(u), jobs.TopicGame()}
		ids := []string{}
		frags := []fragment{g.Summary()}
		for _, card := range g.Cards {
			ids = append(ids, card.ID)
			topics = append(topics, jobs.TopicServer(card.ID))
			frags = append(frags, card)
		}
		f.has = shown == nil && seen != "" && g.print() == seen
		if !f.has && (g.Setup != nil || !slices.Equal(ids, shown)) {
			frags = []fragment{g.Summary(), g}
		}
		shown = ids
		return frags, topics, nil
	}
	return f
}

func (s *Server) blueprintsFeed(u *models.User) *feed {
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.blueprintList(ctx, u)
		return []fragment{v}, []string{jobsTopic(u)}, err
	}}
}

func (s *Server) gameFeed(u *models.User) *feed {
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.gameCard(ctx, u)
		return []fragment{v}, []string{jobs.TopicGame(), jobsTopic(u)}, err
	}}
}

func (s *Server) jobsFeed(u *models.User, filter string) *feed {
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.jobTable(ctx, u, filter, 0)
		return []fragment{v}, []string{jobsTopic(u)}, err
	}}
}

// serverFeed is what every tab of a server has at its top.
func (s *Server) serverFeed(ctx context.Context, u *models.User, host, instance string) (*feed, error) {
	return s.serverPart(ctx, u, host, instance, func(v serverView) []fragment { return []fragment{serverHead{v}, changesNote{v}} })
}

func (s *Server) serverNowFeed(ctx context.Context, u *models.User, host, instance string) (*feed, error) {
	return s.serverPart(ctx, u, host, instance, func(v serverView) []fragment { return []fragment{serverNow{v}} })
}

// serverPart is a feed of fragments that show one server.
func (s *Server) serverPart(ctx context.Context, u *models.User, host, instance string, parts func(serverView) []fragment) (*feed, error) {
	if _, err := models.ServerByInstance(ctx, s.DB, u.ID, instance); err != nil {
		return nil, err
	}
	return &feed{gone: "/servers", render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.serverView(ctx, u, instance, host)
		if err != nil {
			return nil, nil, err
		}
		return parts(v), []string{jobs.TopicServer(v.Server.ID)}, nil
	}}, nil
}

func (s *Server) serverJobsFeed(ctx context.Context, u *models.User, instance string) (*feed, error) {
	srv, err := models.ServerByInstance(ctx, s.DB, u.ID, instance)
	if err != nil {
		return nil, err
	}
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		recent, err := s.recentJobs(ctx, u, srv.ID)
		return []fragment{recent}, []string{jobs.TopicServer(srv.ID)}, err
	}}, nil
}

func (s *Server) consoleFeed(ctx context.Context, u *models.User, instance, after string) (*feed, error) {
	if _, err := models.ServerByInstance(ctx, s.DB, u.ID, instance); err != nil {
		return nil, err
	}
	return &feed{log: consoleLog{s.Jobs.FollowConsole(instance, after)}, topics: []string{jobs.TopicConsole(instance)}, watch: instance}, nil
}

func (s *Server) blueprintFeed(ctx context.Context, u *models.User, host, id string) (*feed, error) {
	if _, err := models.BlueprintByID(ctx, s.DB, u.ID, id); err != nil {
		return nil, err
	}
	return &feed{render: func(ctx context.Context) ([]fragment, []string, error) {
		v, err := s.blueprintLinked(ctx, u, id, host)
		if err != nil {
			return nil, nil, err
		}
		topics := []string{jobsTopic(u), jobs.TopicBlueprint(id)}
		for _, srv := range v.Servers {
			topics = append(topics, jobs.TopicServer(srv.Server.ID))
		}
		b, err := models.BlueprintByID(ctx, s.DB, u.ID, id)
		if err != nil {
			return nil, nil, err
		}
		overlays, err := s.blueprintOverlays(ctx, b)
		return []fragment{v, overlays}, topics, err
	}}, nil
}

func (s *Server) jobFeed(ctx context.Context, u *models.User, arg, after string) (*feed, error) {
	id, err := strconv.ParseInt(arg, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("feed of job %q: %w", clip(arg, 30), models.ErrNotFound)
	}
	if _, err := s.jobFor(ctx, u, id); err != nil {
		return nil, err
	}
	from, _ := strconv.ParseInt(after, 10, 64) // what is no number begins at the first line
	topics := []string{jobs.TopicJob(id)}
	return &feed{
		topics: topics,
		log:    jobLog{jobs.FollowJob(s.DB, id, from)},
		render: func(ctx context.Context) ([]fragment, []string, error) {
			head, err := s.jobHead(ctx, u, id)
			return []fragment{head, jobProgress{head.jobView}}, topics, err
		},
		ended: func(ctx context.Context) (bool, error) {
			j, err := models.JobByID(ctx, s.DB, id)
			return err == nil && j.Finished(), err
		},
	}, nil
}
