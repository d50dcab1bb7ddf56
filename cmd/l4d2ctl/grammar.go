package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// grammar.go is the command line as completion and the manual see it. Both are
// made from what the program itself parses by, so that they cannot differ.

// command is one command, or the program itself.
type command struct {
	name   string
	path   string // "steam login"; empty for the program
	help   string
	flags  []option // its own
	values []operand
	below  []*command
}

// option is one flag.
type option struct {
	long, short string // without dashes
	help        string
	value       string // what its value is called; empty for a switch
	choices     []string
	preset      string
	env         string
	required    bool
	negatable   bool
}

// operand is one argument without a dash.
type operand struct {
	name, help string
	optional   bool
	choices    []string
}

// file reports whether the operand is a file, of which there may be several.
func (o operand) file() bool { return o.name == "file" }

// server reports whether the operand is the name of a server.
func (o operand) server() bool { return o.name == "name" }

func grammarOf(app *kong.Application) *command {
	return commandOf(app.Node, "")
}

func commandOf(n *kong.Node, path string) *command {
	c := &command{name: n.Name, path: path, help: n.Help}
	for _, f := range n.Flags {
		if !f.Hidden && f.Name != "help" {
			c.flags = append(c.flags, optionOf(f))
		}
	}
	for _, p := range n.Positional {
		c.values = append(c.values, operand{name: p.Name, help: p.Help, optional: !p.Required, choices: choicesOf(p)})
	}
	for _, child := range n.Children {
		if !child.Hidden {
			c.below = append(c.below, commandOf(child, strings.TrimSpace(path+" "+child.Name)))
		}
	}
	return c
}

func optionOf(f *kong.Flag) option {
	o := option{long: f.Name, help: f.Help, choices: choicesOf(f.Value), preset: f.Default, required: f.Required, negatable: f.Negated}
	if f.Tag != nil && f.Tag.Negatable != "" {
		o.negatable = true
	}
	if f.Short != 0 {
		o.short = string(f.Short)
	}
	if !f.IsBool() {
		o.value = strings.Trim(f.FormatPlaceHolder(), `"`)
		if len(o.choices) > 0 || o.value == o.preset {
			o.value = strings.ToUpper(o.long)
		}
	}
	if len(f.Envs) > 0 {
		o.env = f.Envs[0]
	}
	return o
}

func choicesOf(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

// all lists c and every command below it that can be run or completed, in order.
func (c *command) all() []*command {
	list := []*command{c}
	for _, b := range c.below {
		list = append(list, b.all()...)
	}
	return list
}

// words are the option as it is typed: --follow and, where there is one,
// --no-follow and -f.
func (o option) words() []string {
	words := []string{"--" + o.long}
	if o.negatable {
		words = append(words, "--no-"+o.long)
	}
	if o.short != "" {
		words = append(words, "-"+o.short)
	}
	return words
}

// names reports what kind of file an option's value is: "file", "dir" or "".
func (o option) names() string {
	switch o.value {
	case "SPEC", "PATH", "FILE":
		return "file"
	case "DIR":
		return "dir"
	}
	return ""
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Run prints a script that completes our command line in a shell.
func (c *completionCmd) Run(env *environment, k *kong.Context) error {
	write := map[string]func(*command) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := fmt.Fprint(env.out.stdout, write(grammarOf(k.Model)))
	return err
}

type manCmd struct{}

// Run prints the manual page in the language of man(7).
func (c *manCmd) Run(env *environment, k *kong.Context) error {
	_, err := fmt.Fprint(env.out.stdout, manual(grammarOf(k.Model)))
	return err
}
