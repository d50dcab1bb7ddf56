package steam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"left4me/hostops/ctl"
)

// What steamcmd prints for a workshop item:
//
//	Downloading item 2306920249 ...
//	Success. Downloaded item 2306920249 to "<dir>/steamapps/workshop/content/550/2306920249" (1056527 bytes)
//	ERROR! Download item 2306920249 failed (Failure).
//
// Success is also what it prints when its record of items knows one whose file is
// gone, and then nothing is fetched. Old items come as NUMBER_legacy.bin, which is
// a VPK; new ones as a folder with a VPK in it.

// GameID is Left 4 Dead 2 itself, whose workshop this is.
const GameID = 550

const (
	itemTries    = 3
	maxItemFiles = 1000          // looked at in one item's folder
	itemSilence  = 2 * time.Hour // steamcmd says nothing at all while an item comes in
)

var itemFailed = regexp.MustCompile(`ERROR! Download item ([0-9]+) failed \(([^)]*)\)`)

// itemRule says a reason in words.
type itemRule struct {
	sentence string
	again    bool
	account  bool // an account that owns the game may help
}

var itemRules = map[string]itemRule{
	"failure":        {"Steam could not hand this item out and does not say why (Failure): it may have been removed, or wants an account that owns the game.", false, true},
	"timeout":        {"Steam did not hand this item out in time (Timeout): try again, what came so far is kept.", true, false},
	"access denied":  {"Steam does not hand this item out to this login (Access Denied).", false, true},
	"file not found": {"Steam knows this item but not its file (File Not Found): its author has to upload it again.", false, false},
	"no connection":  {"Steam could not be reached while this item was asked for (No Connection): try again.", true, false},
}

// Items has steamcmd fetch workshop items of the game into o.Dir, which nothing
// else may use. files are the VPKs by id, below o.Dir; whoever takes them moves
// them away. failed has a *Failure for every other id. err is of what concerns
// them all: *Failure, or of ctx.
//
// Only a file that begins like a VPK is a success, whatever steamcmd says. Items
// are asked for anonymously, and once more with the kept account if that may help.
func Items(ctx context.Context, o Options, ids []string) (files map[string]string, failed map[string]error, err error) {
	if o.Silence == 0 {
		o.Silence = itemSilence
	}
	o = o.withDefaults()
	if err := o.prepare(); err != nil {
		return nil, nil, err
	}
	held, release, err := o.hold(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	o.held = held
	if err := o.limited(time.Now()); err != nil {
		return nil, nil, err
	}
	if o.login, err = readLogin(o.Home); err != nil {
		o.log(ctl.StreamCtl, err.Error())
	}
	if err := o.forgetItems(ids); err != nil {
		return nil, nil, err
	}
	r := &itemRun{Options: o, files: map[string]string{}, failed: map[string]error{}}
	err = r.tries(ctx, ids)
	var f *Failure
	if errors.As(err, &f) {
		o.noteLimit(f, time.Now())
	}
	return r.files, r.failed, err
}

// forgetItems removes what an earlier run left of the items, and the record by
// which steamcmd would believe that it has them.
func (o Options) forgetItems(ids []string) error {
	workshop := filepath.Join(o.Dir, "steamapps", "workshop")
	paths := []string{filepath.Join(workshop, fmt.Sprintf("appworkshop_%d.acf", GameID))}
	for _, id := range ids {
		paths = append(paths, o.itemDir(id))
	}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove what an earlier download left: %w", err)
		}
	}
	return nil
}

func (o Options) itemDir(id string) string {
	return filepath.Join(o.Dir, "steamapps", "workshop", "content", fmt.Sprint(GameID), id)
}

// itemRun is all that is tried for a list of items.
type itemRun struct {
	Options
	files  map[string]string
	failed map[string]error
}

// tries asks for what is missing while a failure may pass, and with the account
// where that may help.
func (r *itemRun) tries(ctx context.Context, ids []string) error {
	way, left := MethodSeed, ids
	for try := 1; len(left) > 0; try++ {
		reasons, err := r.once(ctx, way, left, try)
		if err != nil {
			return err
		}
		var again, account []string
		for _, id := range left {
			path, found := findVPK(r.itemDir(id))
			if found {
				r.files[id] = path
				delete(r.failed, id)
				continue
			}
			rule := itemReason(reasons[id])
			r.failed[id] = &Failure{Sentence: rule.sentence, Class: ctl.ErrSteam, Again: rule.again}
			if rule.again {
				again = append(again, id)
				r.failed[id].(*Failure).Class = ctl.ErrSteamRetry
			}
			if rule.account {
				account = append(account, id)
			}
		}
		switch {
		case len(again) > 0 && try < itemTries:
			left = again
		case way == MethodSeed && r.login != nil && len(account) > 0:
			way, left, try = MethodLogin, account, 0
			r.log(ctl.StreamCtl, "Steam does not hand everything out anonymously: asking again with the kept account.")
		default:
			return nil
		}
		select {
		case <-ctx.Done():
			return cancelledItems()
		case <-time.After(r.Pause):
		}
	}
	return nil
}

// itemReason is the rule for the word in steamcmd's line.
func itemReason(word string) itemRule {
	if rule, known := itemRules[strings.ToLower(word)]; known {
		return rule
	}
	if word == "" {
		return itemRule{sentence: "steamcmd brought no VPK for this item, whatever it says: it may be no add-on, or damaged."}
	}
	return itemRule{sentence: fmt.Sprintf("Steam did not hand this item out (%s).", strings.ToValidUTF8(word[:min(len(word), 100)], ""))}
}

func cancelledItems() error {
	return &Failure{Class: ctl.ErrCancelled, Again: true, Sentence: "Fetching was cancelled; what was fetched is kept, fetch again to go on."}
}

// once runs steamcmd for the ids and returns the word it has for each failure.
func (r *itemRun) once(ctx context.Context, way Method, ids []string, try int) (reasons map[string]string, err error) {
	reasons = map[string]string{}
	emit := func(e ctl.Event) {
		if e.Type == ctl.EventLog && e.Stream == ctl.StreamOut {
			for _, m := range itemFailed.FindAllStringSubmatch(e.Text, -1) {
				reasons[m[1]] = m[2]
			}
		}
		r.Emit(e)
	}
	p := &Parser{Emit: emit, Now: func() time.Time { return time.Now().UTC() }, Try: try, Tries: itemTries}
	// A failed item must not end the run.
	commands := [][]string{
		{"@ShutdownOnFailedCommand", "0"},
		{"@NoPromptForPassword", "1"},
		{"force_install_dir", r.Dir},
		r.loginCommand(way),
	}
	for _, id := range ids {
		commands = append(commands, []string{"workshop_download_item", fmt.Sprint(GameID), id})
	}
	commands = append(commands, []string{"quit"})
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	logs := r.markLogs()
	end, err := r.steamcmd(running, stop, commands, p, "")
	switch {
	case ctx.Err() != nil:
		return nil, cancelledItems()
	case err != nil:
		return nil, err
	case p.failed != nil || end.code != 0 && len(reasons) == 0 && !slices.ContainsFunc(ids, r.has):
		f := failureOf(logs.tail(r.Options, p.failed), end, filepath.Base(r.Steamcmd))
		if p.failed == nil && f.Kind == ClassOther {
			f.say(fmt.Sprintf("steamcmd ended with exit code %d before it fetched a workshop item.", end.code))
		}
		return nil, f
	}
	return reasons, nil
}

func (r *itemRun) has(id string) bool {
	_, found := findVPK(r.itemDir(id))
	return found
}

// findVPK finds the one file that matters of what an item brought: the largest
// that begins like a VPK.
func findVPK(dir string) (path string, found bool) {
	seen, largest := 0, int64(-1)
	_ = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if seen++; err != nil || seen > maxItemFiles {
			return fs.SkipAll // what cannot be read is not there
		}
		ending := strings.ToLower(filepath.Ext(name))
		if !e.Type().IsRegular() || ending != ".vpk" && !strings.HasSuffix(strings.ToLower(name), "_legacy.bin") {
			return nil
		}
		if info, err := e.Info(); err == nil && info.Size() > largest && beginsLikeVPK(name) {
			path, found, largest = name, true, info.Size()
		}
		return nil
	})
	return path, found
}

// beginsLikeVPK reports whether a file has a VPK's first bytes, 34 12 AA 55.
func beginsLikeVPK(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() // read only; nothing can be lost
	var magic [4]byte
	n, err := f.ReadAt(magic[:], 0)
	return n == 4 && err == nil && magic == [4]byte{0x34, 0x12, 0xAA, 0x55}
}

// Allocated is how many bytes the files below dir take from the disk. What
// vanishes meanwhile takes none.
func Allocated(dir string) int64 { return allocated(dir) }
