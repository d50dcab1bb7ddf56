// Package gate looks at content before a game server does: at every add-on, whose
// damage would crash the game at each start, and at the campaigns they bring. A
// file gets a verdict, ok, warning or refused, each with a sentence for people.
//
// It changes nothing: who called it takes refused files away. Start at Check for a
// tree and at CheckFile for one VPK.
//
// The codes of findings are kept with versions and never change:
//
//	vpk.empty vpk.disguised vpk.no_vpk vpk.version vpk.cut_off vpk.tree vpk.bounds vpk.too_many
//	vpk.missing_part vpk.unreadable                refused: the game cannot mount it
//	vpk.subfolder vpk.name_encoding vpk.odd_names  warnings: not what its author meant
//	vpk.global_script vpk.overrides_stock          warnings: changes what is not its own
//	mission.malformed mission.map_missing campaign.duplicate addoninfo.malformed
//	                                               warnings: campaigns that may not be playable
//	vpk.no_maps                                    ok: hardly of use on a server
//	vpk.ok                                         ok: l4d2ctl vpk check says so where nothing else is to be said
package gate

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"left4me/hostops/ctl"
)

// Report is what the gate has to say.
type Report struct {
	Findings  []ctl.Finding // the worst first, at most ctl.MaxFindings; each refused file has exactly one
	Campaigns []ctl.Campaign
}

// Refused reports whether a file was refused and not admitted.
func (r Report) Refused() bool {
	return slices.ContainsFunc(r.Findings, func(f ctl.Finding) bool { return f.Verdict == ctl.VerdictRefused && !f.Admitted })
}

// Where the engine looks. It mounts every *.vpk that lies directly in addons.
const (
	gameDir    = "left4dead2"
	addonsDir  = gameDir + "/addons"
	mapsDir    = gameDir + "/maps"
	missionDir = gameDir + "/missions"
)

// maxWalk bounds how many names of a tree are looked at.
const maxWalk = 1_000_000

// Check looks at the tree below root, which is laid out as the game's own folder.
// Nobody may write to it meanwhile. admit is asked for the SHA-256, in hex, of each
// file that is to be refused; one that is admitted keeps its finding, marked so, and
// whatever could be read of it counts.
//
// Links are followed as long as they stay inside. The error is one of reading the
// tree, or wraps ctl.ErrContent when more files are refused than a report can hold.
func Check(ctx context.Context, root *os.Root, admit func(sha256 string) bool) (Report, error) {
	t := &tree{root: root, check: check{ctx: ctx, admit: admit, maps: map[string]bool{}}}
	if err := t.addons(); err != nil {
		return Report{}, err
	}
	if err := t.loose(); err != nil {
		return Report{}, err
	}
	if err := t.strays(); err != nil {
		return Report{}, err
	}
	return t.report("this overlay")
}

// check collects what is found in one tree or one file.
type check struct {
	ctx       context.Context
	admit     func(sha256 string) bool
	findings  []ctl.Finding
	refused   int
	campaigns []ctl.Campaign
	chapters  int             // of all campaigns
	maps      map[string]bool // lower case, without .bsp
	manyMaps  bool            // there are more than were kept
}

// What is remembered of a whole tree. The game itself has 57 maps, and a chapter
// counts once for each mode.
const (
	maxMaps     = 100_000
	maxChapters = 20_000
)

func (c *check) addMap(name string) {
	if len(c.maps) == maxMaps {
		c.manyMaps = true
		return
	}
	c.maps[mapKey(name)] = true
}

// mapKey is how the engine compares names of maps.
func mapKey(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".bsp") }

func (c *check) warn(at, code, format string, args ...any) {
	c.add(ctl.Finding{Path: at, Verdict: ctl.VerdictWarning, Code: code, Sentence: fmt.Sprintf(format, args...)})
}

// add keeps a finding. Far more than a report holds are never kept.
func (c *check) add(f ctl.Finding) {
	f.Sentence = printable(f.Sentence)
	if f.Verdict == ctl.VerdictRefused {
		c.refused++
	} else if len(c.findings) > 4*ctl.MaxFindings {
		return
	}
	c.findings = append(c.findings, f)
}

func (c *check) addCampaign(campaign ctl.Campaign) {
	if len(c.campaigns) < ctl.MaxCampaigns {
		c.campaigns = append(c.campaigns, campaign)
	}
}

// report draws the conclusions that need everything.
func (c *check) report(whole string) (Report, error) {
	c.missingMaps(whole)
	c.duplicates()
	slices.SortStableFunc(c.findings, func(a, b ctl.Finding) int { return cmp.Compare(rank(a), rank(b)) })
	return Report{c.findings[:min(len(c.findings), ctl.MaxFindings)], c.campaigns}, nil
}

// overfull is the end of a check that refused more than a report can hold.
func (c *check) overfull() error {
	if c.refused <= ctl.MaxFindings {
		return nil
	}
	i := slices.IndexFunc(c.findings, func(f ctl.Finding) bool { return f.Verdict == ctl.VerdictRefused })
	return fmt.Errorf("more than %d add-ons cannot be read by the game, the first is %s: look where they came from: %w",
		ctl.MaxFindings, short(printable(c.findings[i].Path)), ctl.ErrContent)
}

// rank is the order of findings: what keeps a file out before what does not.
func rank(f ctl.Finding) int {
	switch {
	case f.Verdict == ctl.VerdictRefused && !f.Admitted:
		return 0
	case f.Verdict == ctl.VerdictRefused:
		return 1
	case f.Verdict == ctl.VerdictWarning:
		return 2
	}
	return 3
}

// tree is a check of a folder.
type tree struct {
	check
	root *os.Root
}

// list is the entries of a folder; none when it is not there or no folder.
func (t *tree) list(dir string) ([]fs.DirEntry, error) {
	info, err := t.root.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil, nil // the game sees nothing there either
	}
	entries, err := fs.ReadDir(t.root.FS(), dir)
	if err != nil {
		return nil, fmt.Errorf("look through %s: %w", dir, err)
	}
	return entries, nil
}

// loose reads maps and missions that lie about as plain files.
func (t *tree) loose() error {
	maps, err := t.list(mapsDir)
	if err != nil {
		return err
	}
	for _, e := range maps {
		if hasSuffixFold(e.Name(), ".bsp") {
			t.addMap(e.Name())
		}
	}
	files, err := t.list(missionDir)
	if err != nil {
		return err
	}
	read := 0
	for _, e := range files {
		if !hasSuffixFold(e.Name(), ".txt") {
			continue
		}
		if read++; read > maxMissionFiles {
			t.warn(missionDir, "mission.malformed", "There are more than %d mission files; the others are not looked at.", maxMissionFiles)
			return nil
		}
		name := path.Join(missionDir, e.Name())
		data, err := t.readLoose(name)
		if err != nil {
			t.warn(name, "mission.malformed", "The mission file cannot be read: put another in its place.")
			continue
		}
		for _, c := range t.mission(name, data) {
			c.File = name
			t.addCampaign(c)
		}
	}
	return nil
}

// strays finds packages that the engine never looks at.
func (t *tree) strays() error {
	walked := 0
	return fs.WalkDir(t.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("look through %s: %w", name, err)
		}
		if walked++; walked > maxWalk {
			return fmt.Errorf("there are more than %d files: %w", maxWalk, ctl.ErrContent)
		}
		if walked%1024 == 0 && t.ctx.Err() != nil {
			return context.Cause(t.ctx)
		}
		switch dir := path.Dir(name); {
		case e.IsDir() || !hasSuffixFold(name, ".vpk") || dir == addonsDir:
		case strings.HasPrefix(strings.ToLower(path.Base(name)), "pak01_"):
			t.warn(name, "vpk.overrides_stock", "It stands where the game has its own files and hides them: take it out unless that is what you want.")
		default:
			t.warn(name, "vpk.subfolder", "The game loads a .vpk only from %s itself: move it there.", addonsDir)
		}
		return nil
	})
}

func hasSuffixFold(name, suffix string) bool {
	n := len(name) - len(suffix)
	return n > 0 && strings.EqualFold(name[n:], suffix)
}
