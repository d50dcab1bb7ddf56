package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/gate"
	"left4me/hostops/vpk"
)

type vpkCmd struct {
	Check vpkCheckCmd `cmd:"" help:"Say of add-ons whether a game can mount them, and what else there is to know."`
	List  vpkListCmd  `cmd:"" help:"List what is in an add-on, or the campaigns it brings."`
}

type vpkCheckCmd struct {
	Files []string `arg:"" name:"file" help:"The .vpk; of a set its x_dir.vpk."`
}

// Run prints a verdict for each file and fails when one is refused.
func (c *vpkCheckCmd) Run(env *environment) error {
	refused := 0
	for _, path := range c.Files {
		report, err := checkVPK(env, path)
		if err != nil {
			return err
		}
		if len(report.Findings) == 0 {
			report.Findings = []ctl.Finding{{Path: path, Verdict: ctl.VerdictOK, Code: "vpk.ok", Sentence: "The game can mount it" + bringing(report.Campaigns) + "."}}
		}
		for i := range report.Findings {
			env.out.emit(ctl.Event{Type: ctl.EventFinding, At: time.Now().UTC(), Finding: &report.Findings[i]})
		}
		if report.Refused() {
			refused++
		}
	}
	switch {
	case refused == 0:
		return nil
	case len(c.Files) == 1:
		return sentence{"the game cannot mount it, and would crash at every start or leave it out", ctl.ErrContent}
	}
	return sentence{fmt.Sprintf("the game cannot mount %d of the %d files, and would crash at every start or leave them out", refused, len(c.Files)), ctl.ErrContent}
}

// bringing lists the first campaigns for a sentence.
func bringing(all []ctl.Campaign) string {
	const most = 3
	var titles []string
	for _, c := range all[:min(len(all), most)] {
		titles = append(titles, fmt.Sprintf("%q", c.Title))
	}
	switch {
	case len(all) == 0:
		return ""
	case len(all) > most:
		return fmt.Sprintf(" and brings %s and %d more campaigns", strings.Join(titles, ", "), len(all)-most)
	case len(all) == 1:
		return " and brings the campaign " + titles[0]
	}
	return " and brings the campaigns " + strings.Join(titles, ", ")
}

func checkVPK(env *environment, path string) (gate.Report, error) {
	s, err := vpk.OpenSource(path)
	if err != nil {
		return gate.Report{}, cannotOpen(err)
	}
	defer s.Close()
	return gate.CheckFile(env.ctx, path, s, s.Size, s.Parts)
}

func cannotOpen(err error) error { return fmt.Errorf("%w: %w", err, ctl.ErrUsage) }

type vpkListCmd struct {
	File      string `arg:"" help:"The .vpk; of a set its x_dir.vpk."`
	Campaigns bool   `help:"List its campaigns, with their modes and maps, instead of its entries."`
	JSON      bool   `name:"json" help:"Print JSON: a list."`
}

// vpkEntry is what --json prints of an entry.
type vpkEntry struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	CRC  string `json:"crc32"`
}

// Run prints entries or campaigns. It fails where the file is damaged, behind what
// can be read of it.
func (c *vpkListCmd) Run(env *environment) error {
	if c.Campaigns {
		return c.campaigns(env)
	}
	f, err := vpk.OpenFile(c.File)
	var fault *vpk.Fault
	if errors.As(err, &fault) {
		return damaged(fault)
	}
	if err != nil {
		return cannotOpen(err)
	}
	defer f.Close()
	entries := []vpkEntry{} // never null
	out := bufio.NewWriter(env.out.stdout)
	for e, wrong := range f.Entries() {
		if err = wrong; err == nil {
			err = env.ctx.Err()
		}
		if err != nil {
			break
		}
		switch {
		case env.out.json:
			env.out.say("%d %s", e.Size(), e.Path)
		case c.JSON:
			entries = append(entries, vpkEntry{e.Path, e.Size(), fmt.Sprintf("%08x", e.CRC)})
		default:
			fmt.Fprintf(out, "%12d  %s\n", e.Size(), printable(e.Path))
		}
	}
	if c.JSON && !env.out.json {
		if err := printJSON(env, entries); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if errors.As(err, &fault) {
		return damaged(fault)
	}
	return err
}

// damaged is the failure of a command that only reads.
func damaged(fault *vpk.Fault) error {
	return sentence{"the game cannot mount it: " + fault.Detail, ctl.ErrContent}
}

func (c *vpkListCmd) campaigns(env *environment) error {
	report, err := checkVPK(env, c.File)
	if err != nil {
		return err
	}
	if report.Refused() {
		return sentence{"the game cannot mount it; l4d2ctl vpk check says why", ctl.ErrContent}
	}
	switch {
	case env.out.json:
		for _, campaign := range report.Campaigns {
			for line := range strings.Lines(campaignText(campaign)) {
				env.out.say("%s", strings.TrimRight(line, "\n"))
			}
		}
		return nil
	case c.JSON:
		return printJSON(env, append([]ctl.Campaign{}, report.Campaigns...)) // never null
	case len(report.Campaigns) == 0:
		env.out.line("There is no campaign in it.")
	}
	for _, campaign := range report.Campaigns {
		if _, err := io.WriteString(env.out.stdout, campaignText(campaign)); err != nil {
			return err
		}
	}
	return nil
}

// campaignText is a campaign on several lines.
func campaignText(c ctl.Campaign) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", printable(c.Title), printable(c.Name))
	if c.Author != "" {
		fmt.Fprintf(&b, " by %s", printable(c.Author))
	}
	b.WriteString("\n")
	for _, m := range c.Modes {
		fmt.Fprintf(&b, "  %s\n", printable(m.Name))
		for _, ch := range m.Chapters {
			b.WriteString(strings.TrimRight(fmt.Sprintf("    %-24s  %s", printable(ch.Map), printable(ch.Title)), " ") + "\n")
		}
	}
	return b.String()
}
