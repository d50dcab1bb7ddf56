package main

import (
	"fmt"
	"strings"

	"left4me/hostops/ctl"
)

// manual is the page l4d2ctl(1). It holds no date and no version, so that it
// changes only when the grammar does.
func manual(app *command) string {
	m := &roff{}
	m.line(`.\" Made by "l4d2ctl man" from the program's own grammar: change that, then run make docs.`)
	m.line(`.TH L4D2CTL 1 "" "left4me" "User Commands"`)
	m.section("NAME")
	m.text("l4d2ctl - runs Left 4 Dead 2 servers on this host")
	m.section("SYNOPSIS")
	m.line(`.B l4d2ctl`)
	m.line(`.RI [ options ]`)
	m.line(`.I command`)
	m.line(`.RI [ arguments ]`)
	m.section("DESCRIPTION")
	m.text("It installs the game, initialises, starts, stops and deletes servers, and reports on them. It needs no database and no web server, and what it does is seen by left4me at once. Every command may be repeated: what is done already is success.")
	m.section("COMMANDS")
	for _, c := range app.all()[1:] {
		if len(c.below) > 0 {
			continue // those below it are listed
		}
		m.command(c)
	}
	m.section("OPTIONS")
	m.text("These stand before or behind the command.")
	for _, o := range app.flags {
		m.option(o)
	}
	m.line(".TP\n.B \\-\\-help")
	m.text("Show help on the program or, behind a command, on that.")
	m.environment(app)
	m.section("EXIT STATUS")
	for _, row := range ctl.ExitTable() {
		code, meaning, found := strings.Cut(strings.TrimSpace(row), "  ")
		if !found {
			m.line(".PP")
			m.text(row + ".")
			continue
		}
		m.line(".TP")
		m.line(".B " + code)
		m.text(meaning)
	}
	m.files()
	m.section("EXAMPLES")
	m.line(".nf")
	for _, example := range []string{
		"l4d2ctl doctor",
		"l4d2ctl install",
		"l4d2ctl initialize friday -f friday.yaml",
		"l4d2ctl start friday",
		"l4d2ctl logs friday --lines 50 --no-follow",
	} {
		m.text(example)
	}
	m.line(".fi")
	m.line(".PP")
	m.text("where friday.yaml is:")
	m.line(".PP")
	m.line(".nf")
	for _, line := range []string{`port: 27015`, `rcon_password: secret1234`, `hostname: Friday versus`, `arguments: ["+map", "c2m1_highway versus"]`, `config: |`, `  sv_alltalk 1`} {
		m.text(line)
	}
	m.line(".fi")
	return m.b.String()
}

// roff collects a page in the language of man(7).
type roff struct{ b strings.Builder }

func (m *roff) line(s string) { m.b.WriteString(s + "\n") }

func (m *roff) section(name string) { m.line(".SH " + name) }

// text is a line of plain words, whatever they are.
func (m *roff) text(s string) { m.line(escapeRoff(s)) }

// escapeRoff keeps words from being roff's requests, and dashes as typed.
func escapeRoff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func (m *roff) command(c *command) {
	usage := c.path
	for _, v := range c.values {
		word := strings.ToUpper(v.name)
		if v.optional {
			word = "[" + word + "]"
		}
		usage += " " + word
	}
	for _, o := range c.flags {
		switch {
		case o.required && o.short != "":
			usage += " -" + o.short + " " + o.value
		case o.required:
			usage += " --" + o.long + " " + o.value
		}
	}
	m.line(".SS " + escapeRoff(usage))
	m.text(c.help)
	for _, o := range c.flags {
		m.option(o)
	}
}

func (m *roff) option(o option) {
	words := o.words()
	if o.value != "" {
		for i, w := range words {
			words[i] = w + " " + o.value
		}
	}
	m.line(".TP")
	m.line(".B " + escapeRoff(strings.Join(words, ", ")))
	text := o.help
	if o.preset != "" && o.preset != "0s" && o.value != "" && !strings.Contains(text, o.preset) {
		text += fmt.Sprintf(" The default is %s.", o.preset)
	}
	m.text(text)
}

func (m *roff) environment(app *command) {
	m.section("ENVIRONMENT")
	for _, o := range app.flags {
		if o.env != "" {
			m.line(".TP\n.B " + escapeRoff(o.env))
			m.text("The default of --" + o.long + ".")
		}
	}
}

// files are the promises about what lies below the state root.
func (m *roff) files() {
	m.section("FILES")
	m.text("Below the state root:")
	for _, f := range [][2]string{
		{"installation/", "The game, shared by all servers and never changed by them."},
		{"overlays/ID/vN/", "Content that servers stack on the game."},
		{"instances/NAME/", "A server's spec and the files made from it."},
		{"runtime/NAME/", "What a server's game wrote, and its log."},
		{"steam/", "steamcmd and what it remembers."},
	} {
		m.line(".TP\n.I " + escapeRoff(f[0]))
		m.text(f[1])
	}
}
