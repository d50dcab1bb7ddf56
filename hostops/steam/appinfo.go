package steam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/keyvalues"
)

// maxTree bounds the lines of one description; the game's has some hundred.
const maxTree = 50_000

// LatestBuild asks Steam for the build id of the game's public branch and
// remembers it. o.Dir may be empty. Errors are *Failure, or of ctx.
func LatestBuild(ctx context.Context, o Options) (build string, err error) {
	o = o.withDefaults()
	o.Dir = "" // it is not touched, and a server may run on it
	if err := o.prepare(); err != nil {
		return "", err
	}
	held, release, err := o.hold(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	o.held = held
	if err := o.limited(time.Now()); err != nil {
		return "", err
	}
	if o.login, err = readLogin(o.Home); err != nil {
		o.log(ctl.StreamCtl, err.Error())
	}
	restore := o.dropAppCache()
	build, err = o.askBuild(ctx)
	if err != nil {
		restore()
		var f *Failure
		if errors.As(err, &f) {
			o.noteLimit(f, time.Now())
		}
		return "", err
	}
	o.remember(func(m *memory) { m.Latest, m.Checked = build, time.Now().UTC().Truncate(time.Second) })
	return build, nil
}

// dropAppCache puts Steam's cache of descriptions aside, since it would answer
// with an old build. Without any, the next install may fail once, so a failure
// brings it back.
func (o Options) dropAppCache() (restore func()) {
	var moved []string
	for _, dir := range dataDirs {
		path := filepath.Join(o.Home, dir, "appcache", "appinfo.vdf")
		if err := os.Rename(path, path+".old"); err == nil {
			moved = append(moved, path)
		}
	}
	return func() {
		for _, path := range moved {
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
				_ = os.Rename(path+".old", path) // see above: a detour at worst
			}
		}
	}
}

// askBuild asks again while the description does not come: the first time Steam
// only requests it from itself.
func (o Options) askBuild(ctx context.Context) (string, error) {
	for try := 1; ; try++ {
		build, err := o.askOnce(ctx, try)
		var f *Failure
		if !errors.As(err, &f) || f.Kind != ClassMissingConfiguration {
			return build, err
		}
		if try >= o.Tries {
			f.say(fmt.Sprintf("Steam sent no description of the game in %d tries. Try again later.", try))
			return "", f
		}
		select {
		case <-ctx.Done():
			return "", cancelledCheck()
		case <-time.After(o.Pause):
		}
	}
}

func cancelledCheck() error {
	return &Failure{Class: ctl.ErrCancelled, Again: true, Sentence: "Asking Steam was cancelled."}
}

func (o Options) askOnce(ctx context.Context, try int) (string, error) {
	var tree treeReader
	emit := func(e ctl.Event) {
		if e.Type != ctl.EventLog || e.Stream != ctl.StreamOut || !tree.take(e.Text) {
			o.Emit(e)
		}
	}
	p := &Parser{Emit: emit, Now: func() time.Time { return time.Now().UTC() }, Try: try, Tries: o.Tries}
	way := MethodSeed
	if o.login != nil && recall(o.Home).Method == MethodLogin {
		way = MethodLogin
	}
	id := fmt.Sprint(AppID)
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	logs := o.markLogs()
	end, err := o.steamcmd(running, stop, [][]string{
		{"@ShutdownOnFailedCommand", "1"},
		{"@NoPromptForPassword", "1"},
		o.loginCommand(way),
		{"app_info_update", "1"},
		{"app_info_request", id},
		{"app_info_print", id},
		{"app_info_print", id},
		{"quit"},
	}, p, "")
	switch {
	case ctx.Err() != nil:
		return "", cancelledCheck()
	case err != nil:
		return "", err
	case tree.last != "":
		return publicBuild(tree.last)
	case p.failed != nil || end.code != 0:
		return "", failureOf(logs.tail(o, p.failed), end, filepath.Base(o.Steamcmd))
	}
	return "", &Failure{Class: ctl.ErrSteamRetry, Again: true, Kind: ClassMissingConfiguration, Sentence: "Steam sent no description of the game."}
}

// publicBuild reads the build id out of a description.
func publicBuild(text string) (string, error) {
	root, err := keyvalues.Parse(strings.NewReader(text))
	if err != nil {
		return "", &Failure{
			Class: ctl.ErrSteamRetry, Again: true, Kind: ClassMissingConfiguration,
			Sentence: fmt.Sprintf("Steam's description of the game cannot be read (%v).", err),
		}
	}
	build := root.Get(fmt.Sprint(AppID), "depots", "branches", "public", "buildid").Value()
	if n, err := strconv.ParseInt(build, 10, 64); err != nil || n <= 0 {
		return "", &Failure{
			Class: ctl.ErrSteam, Kind: ClassOther,
			Sentence: "Steam's description of the game names no public build for this login, so it cannot be told whether there is an update. Installing brings the newest one in any case.",
		}
	}
	return build, nil
}

// treeReader cuts the last whole description out of steamcmd's lines: from the
// one that is the app's number in quotes to the brace that ends its block.
type treeReader struct {
	lines []string
	depth int
	last  string
}

// take reports whether the line belongs to a description.
func (t *treeReader) take(text string) bool {
	trimmed := strings.TrimSpace(text)
	if len(t.lines) == 0 && trimmed != fmt.Sprintf("%q", fmt.Sprint(AppID)) {
		return false
	}
	t.lines = append(t.lines, text)
	switch {
	case trimmed == "{":
		t.depth++
	case trimmed == "}":
		t.depth--
	case t.depth == 0 && len(t.lines) > 1, len(t.lines) > maxTree: // no block follows, or no end
		t.lines, t.depth = nil, 0
		return false
	}
	if trimmed == "}" && t.depth <= 0 {
		t.last = strings.Join(t.lines, "\n")
		t.lines, t.depth = nil, 0
	}
	return true
}
