package hostops

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/supervisor"
)

// The lines of a game's start-up that tell how far it is:
//
//	Network: IP 192.0.2.10, mode MP, dedicated Yes, ports 27015 SV / 0 CL
//	---- Host_NewGame ----
//	Host_NewGame on map c4m1_milltown_a
//	Executing dedicated server config file
//	Connection to Steam servers successful.
//
// Server.cfg, and with it the RCON password, is valid only after the fourth.
var networkLine = regexp.MustCompile(`^Network: IP [^,]*, mode [^,]*, dedicated [^,]*, ports ([0-9]+) SV`)

// markers is what a log says of one run of the game.
type markers struct {
	grade      ctl.Grade
	port       int    // the port it bound, 0 when it did not say
	executed   bool   // server.cfg was read
	hibernated bool   // it mounted its add-ons; before the first map that is where a start gets stuck
	loaded     bool   // a map began to load
	steam      bool   // it is connected to Steam
	lost       bool   // it was, and no longer is
	lan        string // why it is on the local network only; "" when nothing says that it is
	cause      *cause // nil when no line explains anything
	addon      string // the add-on that was named last
}

// addonName finds the add-ons that a line names.
var addonName = regexp.MustCompile(`[^\s/\\'":]+\.vpk\b`)

// take notes one line and reports whether the grade rose.
func (m *markers) take(text string) bool {
	before := *m
	switch {
	case strings.HasPrefix(text, "Network: IP "):
		if found := networkLine.FindStringSubmatch(text); found != nil {
			m.port, _ = strconv.Atoi(found[1]) // digits by the pattern
			m.raise(ctl.GradePort)
		}
	case strings.HasPrefix(text, "Server is hibernating"):
		m.hibernated = true
	case strings.HasPrefix(text, "---- Host_NewGame"), strings.HasPrefix(text, "Host_NewGame on map"):
		m.loaded = true
		m.raise(ctl.GradeMap)
	case strings.HasPrefix(text, "Executing dedicated server config file"):
		m.executed = true
		m.raise(ctl.GradeMap)
	case strings.HasPrefix(text, "Connection to Steam servers successful"):
		m.steam, m.lost, m.lan = true, false, ""
	case strings.HasPrefix(text, "Connection to Steam servers lost"):
		m.steam, m.lost = false, true
	default:
		m.explain(text)
	}
	return m.grade != before.grade || m.executed != before.executed || m.steam != before.steam || m.lan != before.lan
}

// explain notes what a line tells about a failure.
func (m *markers) explain(text string) {
	for _, l := range lanLines {
		if m.lan == "" && strings.HasPrefix(text, l.part) {
			m.lan = l.reason
		}
	}
	if c := causeOf(text); c != nil && (m.cause == nil || !c.weak) {
		m.cause = c
	}
	if !m.loaded {
		if name := addonName.FindString(text); name != "" {
			m.addon = name
		}
	}
}

var gradeOrder = map[ctl.Grade]int{"": 0, ctl.GradeProcess: 1, ctl.GradePort: 2, ctl.GradeMap: 3, ctl.GradeRCON: 4, ctl.GradeSteam: 5}

func (m *markers) raise(g ctl.Grade) {
	if gradeOrder[g] > gradeOrder[m.grade] {
		m.grade = g
	}
}

// scanLines bounds how far back a status looks for start-up lines.
const scanLines = 2000

// readMarkers looks through the newest lines for those of the run that began at
// since. A run longer than a start-up whose first lines are out of reach counts
// as one that loaded its map.
func (h *Host) readMarkers(ctx context.Context, name string, since time.Time) (markers, error) {
	m := markers{grade: ctl.GradeProcess}
	complete := false
	err := h.Supervisor.Logs(ctx, name, supervisor.LogOptions{Lines: scanLines}, func(l supervisor.LogLine) error {
		if l.At.Before(since) {
			complete = true
			return nil
		}
		if strings.HasPrefix(l.Text, bannerLine) { // since allows for clocks, and so for the end of the run before
			m, complete = markers{grade: ctl.GradeProcess}, true
		}
		m.take(l.Text)
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("read the log of %s: %w", name, err)
	}
	if !complete && !m.executed && time.Since(since) > settledAfter {
		m.executed, m.loaded = true, true
		m.raise(ctl.GradeMap)
	}
	return m, nil
}

// lastCursor is the newest line's, or "" when there is none.
func (h *Host) lastCursor(ctx context.Context, name string) (string, error) {
	cursor := ""
	err := h.Supervisor.Logs(ctx, name, supervisor.LogOptions{Lines: 1}, func(l supervisor.LogLine) error {
		cursor = l.Cursor
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the log of %s: %w", name, err)
	}
	return cursor, nil
}
