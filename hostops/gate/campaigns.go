package gate

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"left4me/hostops/ctl"
	"left4me/hostops/missions"
	"left4me/hostops/vpk"
)

// missions reads the campaigns of a package. Missions of one name are one campaign:
// some authors have a file for each mode.
func (c *check) missions(at string, a *vpk.Archive, in inventory) {
	var all []ctl.Campaign
	for _, e := range in.missions {
		if c.ctx.Err() != nil {
			return // file says why
		}
		name := at + "!" + printable(e.Path)
		data, err := a.Read(e, missions.MaxSize)
		switch {
		case errors.Is(err, vpk.ErrChecksum):
			c.warn(name, "mission.malformed", "The checksum of the mission file is wrong, so the whole file may be damaged: fetch or upload it again.")
		case err != nil:
			c.warn(name, "mission.malformed", "The mission file cannot be read (%v): its campaign will not be offered.", err)
			continue
		}
		for _, m := range c.mission(name, data) {
			m.File = at
			all = merge(all, m)
		}
	}
	if in.more {
		c.warn(at, "mission.malformed", "It has more than %d mission files; the others are not looked at.", maxMissionFiles)
	}
	info := c.info(at, a, in.info)
	for _, m := range all {
		if len(all) == 1 && info.Title != "" && missions.Untitled(m) {
			m.Title = info.Title
		}
		if m.Author == "" {
			m.Author = info.Author
		}
		c.addCampaign(m)
	}
}

// mission reads one mission file.
func (c *check) mission(name string, data []byte) []ctl.Campaign {
	all, notes := missions.Parse(data)
	if len(notes) > 0 {
		more := ""
		if n := len(notes) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		c.warn(name, "mission.malformed", "The mission file is not as the game wants it, which may skip chapters: %s%s.", notes[0], more)
	}
	for i, m := range all {
		for _, mode := range m.Modes {
			c.chapters += len(mode.Chapters)
		}
		if c.chapters > maxChapters {
			c.warn(name, "mission.malformed", "With this file there are more than %d chapters in all: the campaign %q and those behind it will not be offered.", maxChapters, m.Title)
			return all[:i]
		}
		if ctl.IsBuiltInCampaign(m.Name) {
			c.warn(name, "vpk.overrides_stock", "It replaces the game's own campaign %s: players without it may see other chapters.", m.Name)
		}
	}
	return all
}

// merge adds a campaign to those of one package.
func merge(all []ctl.Campaign, m ctl.Campaign) []ctl.Campaign {
	i := slices.IndexFunc(all, func(c ctl.Campaign) bool { return strings.EqualFold(c.Name, m.Name) })
	if i < 0 {
		return append(all, m)
	}
	for _, mode := range m.Modes {
		if !slices.ContainsFunc(all[i].Modes, func(have ctl.Mode) bool { return have.Name == mode.Name }) {
			all[i].Modes = append(all[i].Modes, mode)
		}
	}
	missions.SortModes(all[i].Modes)
	return all
}

func (c *check) info(at string, a *vpk.Archive, e *vpk.Entry) missions.Info {
	if e == nil {
		return missions.Info{}
	}
	name := at + "!" + printable(e.Path)
	data, err := a.Read(*e, missions.MaxSize)
	if err != nil && !errors.Is(err, vpk.ErrChecksum) {
		c.warn(name, "addoninfo.malformed", "The description of the add-on cannot be read (%v); the game does without it.", err)
		return missions.Info{}
	}
	info, notes := missions.ParseInfo(data)
	if len(notes) > 0 {
		c.warn(name, "addoninfo.malformed", "The description of the add-on is malformed (%s); the game does without it.", notes[0])
	}
	return info
}

// readLoose reads a plain mission file.
func (t *tree) readLoose(name string) ([]byte, error) {
	f, _, err := t.openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only; nothing can be lost
	return io.ReadAll(io.LimitReader(f, missions.MaxSize+1))
}

// missingMaps tells chapters that nothing can load.
func (c *check) missingMaps(whole string) {
	if c.manyMaps {
		return
	}
	for _, campaign := range c.campaigns {
		var missing names
		seen := map[string]bool{}
		for _, mode := range campaign.Modes {
			for _, ch := range mode.Chapters {
				key := mapKey(ch.Map)
				if !seen[key] && !c.maps[key] && !ctl.IsBuiltInMap(key) {
					missing.add(ch.Map)
				}
				seen[key] = true
			}
		}
		if missing.count > 0 {
			c.warn(campaign.File, "mission.map_missing", "The campaign %q names maps that are neither in %s nor the game's own (%s): add what brings them, or do not choose those chapters.", campaign.Title, whole, missing)
		}
	}
}

// duplicates tells campaigns that two files of the tree bring.
func (c *check) duplicates() {
	files := map[string]string{}
	for _, campaign := range c.campaigns {
		key := strings.ToLower(campaign.Name)
		first, known := files[key]
		if !known {
			files[key] = campaign.File
		} else if first != campaign.File {
			c.warn(campaign.File, "campaign.duplicate", "It brings the campaign %q, and so does %s: the game uses one of them, which need not be the one you want, so take one out.", campaign.Title, first)
		}
	}
}

// LayerCampaigns is what one layer of a stack brings.
type LayerCampaigns struct {
	Ref       string // such as 12/v3
	Campaigns []ctl.Campaign
}

// Duplicates tells campaigns that two layers of a stack, uppermost first, bring in
// different files: one finding for each pair of layers. A file of the same path is
// hidden by the upper one and harms nobody.
func Duplicates(layers []LayerCampaigns) []ctl.Finding {
	type source struct {
		layer       int
		file, title string
	}
	type pair struct{ upper, lower int }
	first := map[string]source{}
	clashes := map[pair]*names{}
	var order []pair
	for i, layer := range layers {
		for _, campaign := range layer.Campaigns {
			key := strings.ToLower(campaign.Name)
			s, known := first[key]
			if !known {
				first[key] = source{i, campaign.File, campaign.Title}
				continue
			}
			if s.layer == i || s.file == campaign.File {
				continue
			}
			p := pair{s.layer, i}
			if clashes[p] == nil {
				clashes[p] = &names{}
				order = append(order, p)
			}
			clashes[p].add(fmt.Sprintf("%q", s.title))
		}
	}
	var all []ctl.Finding
	for _, p := range order[:min(len(order), ctl.MaxFindings)] {
		what := "the campaign"
		if clashes[p].count > 1 {
			what = "the campaigns"
		}
		all = append(all, ctl.Finding{
			Verdict: ctl.VerdictWarning, Code: "campaign.duplicate",
			Sentence: printable(fmt.Sprintf("The overlays %s and %s both bring %s %s: the game uses one of the two files, which need not be the upper one, so take one out.", layers[p.upper].Ref, layers[p.lower].Ref, what, clashes[p])),
		})
	}
	return all
}
