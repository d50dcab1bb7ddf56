package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"left4me/hostops"
	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

type overlayCmd struct {
	Build  overlayBuildCmd  `cmd:"" help:"Make the next version of an overlay. Servers that run keep theirs."`
	List   overlayListCmd   `cmd:"" help:"List the versions of one overlay, or of all."`
	Show   overlayShowCmd   `cmd:"" help:"Show one version with its files, or what it has otherwise than another."`
	Verify overlayVerifyCmd `cmd:"" help:"Read versions again and compare them with what was published."`
	GC     overlayGCCmd     `cmd:"" name:"gc" help:"Remove versions that no server uses, and workshop files that no version uses."`
	Delete overlayDeleteCmd `cmd:"" help:"Remove everything of an overlay."`
}

type overlayBuildCmd struct {
	ID   int64  `arg:"" help:"Number of the overlay, which you choose."`
	File string `short:"f" required:"" placeholder:"SPEC" help:"What it is made of, in YAML; - reads standard input."`
}

// Run makes the next version.
func (c *overlayBuildCmd) Run(env *environment) error {
	in, source, err := openSpec(c.File, env.stdin)
	if err != nil {
		return err
	}
	defer in.Close() // read only; nothing can be lost
	spec, err := hostops.ParseOverlaySpec(source, in)
	if err != nil {
		return err
	}
	env.passErrorsOn()
	env.notices, err = env.host.BuildOverlay(env.ctx, c.ID, spec)
	return err
}

// passErrorsOn writes what a script says on its standard error to ours, where people
// read. Programs find it in the events.
func (e *environment) passErrorsOn() {
	emit := e.host.Emit
	e.host.Emit = func(event ctl.Event) {
		if event.Type == ctl.EventLog && event.Stream == ctl.StreamErr && !e.out.json {
			fmt.Fprintln(e.stderr, printable(event.Text))
		}
		emit(event)
	}
}

type overlayListCmd struct {
	ID   int64 `arg:"" optional:"" help:"Number of the overlay; all without it."`
	JSON bool  `name:"json" help:"Print JSON: a list, the newest version first."`
}

// Run prints versions.
func (c *overlayListCmd) Run(env *environment) error {
	all, err := env.host.ListOverlays(env.ctx, c.ID)
	if err != nil {
		return err
	}
	return printVersions(env, all, c.JSON)
}

func printVersions(env *environment, all []ctl.Version, asJSON bool) error {
	switch {
	case env.out.json:
		for i := range all {
			env.out.emit(ctl.Event{Type: ctl.EventVersion, At: time.Now().UTC(), Version: &all[i]})
		}
		return nil
	case asJSON:
		return printJSON(env, append([]ctl.Version{}, all...)) // never null
	case len(all) == 0:
		_, err := fmt.Fprintln(env.out.stdout, "There are no overlays. Make one with l4d2ctl overlay build ID -f SPEC.")
		return err
	}
	w := tabwriter.NewWriter(env.out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tKIND\tFILES\tSIZE\tPUBLISHED\tUSED BY\t")
	for _, v := range all {
		fmt.Fprintf(w, "%d/v%d\t%s\t%d\t%s\t%s\t%s\t\n", v.Overlay, v.Number, orDash(string(v.Kind)), v.Files, steam.Bytes(v.Size), published(v), orDash(strings.Join(v.Used, ", ")))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, v := range all {
		if v.Fault == "" {
			continue
		}
		if _, err := fmt.Fprintf(env.out.stdout, "%d/v%d: %s\n", v.Overlay, v.Number, printable(v.Fault)); err != nil {
			return err
		}
	}
	return nil
}

func published(v ctl.Version) string {
	switch {
	case v.Collected:
		return "collected"
	case v.At.IsZero():
		return "-"
	}
	return v.At.Local().Format("2006-01-02 15:04:05")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return printable(text)
}

func printJSON(env *environment, value any) error {
	encoder := json.NewEncoder(env.out.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

type overlayShowCmd struct {
	ID      int64  `arg:"" help:"Number of the overlay."`
	Version string `arg:"" optional:"" help:"The version, such as v3; the newest without it."`
	Diff    string `placeholder:"VERSION" help:"Show what it has otherwise than this version."`
	JSON    bool   `name:"json" help:"Print JSON: the version's manifest, or the difference."`
}

var versionWord = regexp.MustCompile(`\Av?([1-9][0-9]{0,8})\z`)

func versionNumber(word string) (int64, error) {
	m := versionWord.FindStringSubmatch(word)
	if m == nil {
		return 0, fmt.Errorf("%q is no version: write v3 or 3: %w", word, ctl.ErrUsage)
	}
	return strconv.ParseInt(m[1], 10, 64)
}

// Run prints one version.
func (c *overlayShowCmd) Run(env *environment) error {
	number := int64(0)
	if c.Version != "" {
		var err error
		if number, err = versionNumber(c.Version); err != nil {
			return err
		}
	}
	m, err := env.host.ShowOverlay(env.ctx, c.ID, number)
	if err != nil {
		return err
	}
	if c.Diff != "" {
		return c.diff(env, m.Number)
	}
	switch {
	case env.out.json:
		env.out.emit(ctl.Event{Type: ctl.EventVersion, At: time.Now().UTC(), Version: &m.Version})
		return nil
	case c.JSON:
		return printJSON(env, m)
	}
	return printManifest(env, m)
}

func (c *overlayShowCmd) diff(env *environment, number int64) error {
	other, err := versionNumber(c.Diff)
	if err != nil {
		return err
	}
	d, err := env.host.DiffOverlay(c.ID, other, number)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env, d)
	}
	for _, part := range []struct {
		mark  string
		paths []string
	}{{"+", d.Added}, {"~", d.Changed}, {"-", d.Removed}} {
		for _, path := range part.paths {
			env.out.emit(ctl.Event{Type: ctl.EventLog, At: time.Now().UTC(), Stream: ctl.StreamCtl, Text: part.mark + " " + path})
		}
	}
	return nil
}

func printManifest(env *environment, m *ctl.Manifest) error {
	w := tabwriter.NewWriter(env.out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "version\t%d/v%d\n", m.Overlay, m.Number)
	fmt.Fprintf(w, "kind\t%s\n", orDash(string(m.Kind)))
	fmt.Fprintf(w, "published\t%s\n", published(m.Version))
	for _, row := range []struct{ name, text string }{
		{"by", m.By}, {"why", m.Why}, {"release", m.Release}, {"used by", strings.Join(m.Used, ", ")}, {"fault", m.Fault},
	} {
		if row.text != "" {
			fmt.Fprintf(w, "%s\t%s\n", row.name, printable(row.text))
		}
	}
	fmt.Fprintf(w, "files\t%d, %s\n", m.Files, steam.Bytes(m.Size))
	if m.Previous > 0 {
		fmt.Fprintf(w, "against v%d\t%d added, %d changed, %d removed\n", m.Previous, m.Added, m.Changed, m.Removed)
	}
	for _, c := range m.Campaigns {
		fmt.Fprintf(w, "campaign\t%s\n", printable(c.Title))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range m.Findings {
		env.out.line(findingText(&m.Findings[i]))
	}
	for _, f := range m.Tree {
		env.out.line(fileText(f))
	}
	return nil
}

func fileText(f ctl.ManifestFile) string {
	switch {
	case f.Dir:
		return f.Path + "/"
	case f.Link != "":
		return f.Path + " -> " + f.Link
	}
	return fmt.Sprintf("%s  %s", f.Path, steam.Bytes(f.Size))
}

// findingText is what the gate says of a file as a line for people.
func findingText(f *ctl.Finding) string {
	verdict := string(f.Verdict)
	if f.Admitted {
		verdict = "admitted"
	}
	if f.Path == "" {
		return fmt.Sprintf("%s: %s", verdict, f.Sentence)
	}
	return fmt.Sprintf("%s: %s: %s", verdict, f.Path, f.Sentence)
}

type overlayVerifyCmd struct {
	ID   int64 `arg:"" optional:"" help:"Number of the overlay; all without it."`
	JSON bool  `name:"json" help:"Print JSON: a list of versions, each with its fault."`
}

// Run reads versions again. One that is not as it was published is a failure.
func (c *overlayVerifyCmd) Run(env *environment) error {
	if c.JSON && !env.out.json { // only the outcome may stand there
		env.host.Emit = func(ctl.Event) {}
	}
	all, err := env.host.VerifyOverlays(env.ctx, c.ID)
	if err != nil {
		return err
	}
	if err := printVersions(env, all, c.JSON); err != nil {
		return err
	}
	var bad []string
	for _, v := range all {
		if v.Fault != "" {
			bad = append(bad, fmt.Sprintf("%d/v%d", v.Overlay, v.Number))
		}
	}
	if len(bad) > 0 {
		return sentence{"not as published: " + strings.Join(bad, ", ") + "; build the overlay again and let the servers use the new version", ctl.ErrContent}
	}
	return nil
}

type overlayGCCmd struct {
	Keep     int           `default:"3" help:"How many of an overlay's newest versions stay (${default})."`
	Age      time.Duration `default:"168h" placeholder:"TIME" help:"Younger ones stay as well (${default})."`
	Pin      []string      `placeholder:"ID/VERSION" help:"A version that stays; may be given several times."`
	PinsFrom string        `placeholder:"FILE" help:"A list of what stays, a line each: pin ID/VERSION, upload UUID, and uploads to have all other uploads removed; - reads standard input."`
}

// Run removes what nothing uses.
func (c *overlayGCCmd) Run(env *environment) (err error) {
	if c.Keep < 1 || c.Age < 0 {
		return fmt.Errorf("--keep is at least 1, and --age no negative time: %w", ctl.ErrUsage)
	}
	o := hostops.CollectOptions{Keep: c.Keep, Age: c.Age}
	for _, ref := range c.Pin {
		if err := o.Pins.Pin(ref); err != nil {
			return err
		}
	}
	if c.PinsFrom != "" {
		in, source, err := openSpec(c.PinsFrom, env.stdin)
		if err != nil {
			return err
		}
		defer in.Close() // read only; nothing can be lost
		if err := o.Pins.ReadPins(source, in); err != nil {
			return err
		}
	}
	env.notices, err = env.host.CollectOverlays(env.ctx, o)
	return err
}

type overlayDeleteCmd struct {
	ID int64 `arg:"" help:"Number of the overlay."`
}

// Run removes an overlay.
func (c *overlayDeleteCmd) Run(env *environment) error {
	return env.host.DeleteOverlay(env.ctx, c.ID)
}
