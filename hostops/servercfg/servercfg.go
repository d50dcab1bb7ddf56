// Package servercfg makes the configuration of a game server: cfg/server.cfg and
// the files that it executes. It knows how the Source engine reads such files, so
// that a value stays one value, and what comes from whom: the server.cfg of
// overlays first, then the user's text, then the settings that must win.
//
// It knows nothing of instances and writes no file: initialize does, and pages show
// what it would write. Start at Render.
package servercfg

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"left4me/hostops/ctl"
)

// Name is the file that a dedicated server executes at every map start.
const Name = "server.cfg"

// Banner begins server.cfg. It tells a reader of the merged file where to change it, and
// brings back who is banned for ever: the game writes that list with writeid and reads
// it only where it is told to.
const Banner = "// Written by l4d2ctl initialize. Change the blueprint or the spec, not this file.\nexec banned_user\n"

// Mask stands where an RCON password stood.
const Mask = "********"

// Config is what is generated for one spec.
type Config struct {
	Files   []File   // below left4dead2/cfg, ordered by name: server.cfg is the first
	Notices []string // what was decided and its author may not expect
}

// The copy of an overlay's server.cfg is called server_overlay_ID.cfg.
const (
	copyPrefix = "server_overlay_"
	copySuffix = ".cfg"
)

// File is one generated file.
type File struct {
	Name string // a single path component
	Text string
}

// Render makes the configuration of s. server.cfg executes the list of banned players
// and the server.cfg of the overlays in s.Exec, the lowest first so that upper ones win, then comes the
// user's text exactly as given, then our settings, of which rcon_password is last
// because the last one wins. Each executed file is a copy of its own, named by its
// overlay: in the merged tree the overlays hide each other's.
//
// A server.cfg that is not there is a notice. Errors: whatever read returns.
func Render(s ctl.Spec, read Reader) (Config, error) {
	var c Config
	user := strings.ReplaceAll(s.Config, "\r\n", "\n")
	settings := [][2]string{{"hostname", s.Hostname}, {"rcon_password", s.RCONPassword}}
	var b strings.Builder
	b.WriteString(Banner)
	copies, err := c.overlays(s, settings, read)
	if err != nil {
		return Config{}, err
	}
	for _, f := range copies {
		b.WriteString("exec " + strings.TrimSuffix(f.Name, copySuffix) + "\n")
	}
	b.WriteString(user)
	if user != "" && !strings.HasSuffix(user, "\n") {
		b.WriteByte('\n')
	}
	for _, set := range settings {
		if set[1] == "" {
			continue
		}
		line, err := Setting(set[0], set[1])
		if err != nil {
			return Config{}, fmt.Errorf("write %s into server.cfg: %w", set[0], err)
		}
		b.WriteString(line + "\n")
		c.Notices = append(c.Notices, overridden("the config", user, set[0])...)
	}
	c.Notices = append(c.Notices, endless("the config", user, "server")...)
	c.Files = append(copies, File{Name: Name, Text: b.String()})
	slices.SortFunc(c.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

// overlays copies the server.cfg of the overlays that are executed, in the order in
// which they are.
func (c *Config) overlays(s ctl.Spec, settings [][2]string, read Reader) (copies []File, err error) {
	for _, ref := range slices.Backward(s.Overlays) {
		if !slices.Contains(s.Exec, ref) {
			continue
		}
		text, err := read(ref)
		if errors.Is(err, fs.ErrNotExist) {
			c.Notices = append(c.Notices, fmt.Sprintf("overlay %s has no left4dead2/cfg/server.cfg, so nothing of it is executed", ref))
			continue
		}
		if err != nil {
			return nil, err
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n" // the engine goes on in server.cfg right behind the last byte
		}
		id, _, _ := strings.Cut(ref, "/")
		copied := File{Name: copyPrefix + id + copySuffix, Text: text}
		copies = append(copies, copied)
		where := "overlay " + ref + "'s server.cfg"
		for _, set := range settings {
			if set[1] != "" {
				c.Notices = append(c.Notices, overridden(where, text, set[0])...)
			}
		}
		c.Notices = append(c.Notices, endless(where, text, "server", strings.TrimSuffix(copied.Name, copySuffix))...)
		c.Notices = append(c.Notices, waiting(where, text)...)
	}
	return copies, nil
}

// Preview is server.cfg as Render makes it, with the RCON password masked, and what
// its author may not expect.
func Preview(s ctl.Spec, read Reader) (text string, notices []string, err error) {
	s.RCONPassword = Mask
	c, err := Render(s, read)
	if err != nil {
		return "", nil, err
	}
	return c.text(Name), c.Notices, nil
}

// overridden lists the lines of a text that set a variable which a line of ours
// sets again.
func overridden(where, text, variable string) []string {
	var notices []string
	for _, c := range Commands(text) {
		if c = c.Unwrapped(); strings.EqualFold(c.Name, variable) && c.Rest != "" {
			notices = append(notices, fmt.Sprintf("line %d of %s sets %s; the server's own comes last and wins", c.Line, where, variable))
		}
	}
	return notices
}

// endless lists the lines of a text that execute a file which executes the text.
func endless(where, text string, files ...string) []string {
	var notices []string
	for _, c := range Commands(text) {
		if file := c.executes(); file != "" && slices.Contains(files, file) {
			notices = append(notices, fmt.Sprintf("line %d of %s executes %s.cfg, which executes it again without end: take the line out", c.Line, where, file))
		}
	}
	return notices
}

// waiting lists the lines of an executed text that hold up everything behind them.
func waiting(where, text string) []string {
	var notices []string
	for _, c := range Commands(text) {
		if strings.EqualFold(c.Name, "wait") {
			notices = append(notices, fmt.Sprintf("line %d of %s waits, and the server's own hostname and password wait with it: take the line out", c.Line, where))
		}
	}
	return notices
}

// Last is the value that variable has after the engine executed server.cfg and the
// generated files that it executes. Other files are not looked into.
func (c Config) Last(variable string) string {
	value := ""
	for _, command := range Commands(c.text(Name)) {
		if strings.EqualFold(command.Name, variable) {
			value = command.Value()
		}
		if file := command.executes() + copySuffix; file != Name {
			value = cmp.Or(Last(c.text(file), variable), value)
		}
	}
	return value
}

// text is the content of a file, or nothing where there is none of that name.
func (c Config) text(name string) string {
	i := slices.IndexFunc(c.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return ""
	}
	return c.Files[i].Text
}
