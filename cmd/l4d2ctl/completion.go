package main

import (
	"fmt"
	"strings"
)

// The scripts know the whole grammar; only the names of servers are asked for
// when they are needed, by `l4d2ctl status --names`.

// bashCompletion is a script for bash. It walks over the words before the cursor
// to find the command, and offers what may come next.
func bashCompletion(app *command) string {
	var b strings.Builder
	b.WriteString(`# Completion of l4d2ctl for bash, made by "l4d2ctl completion bash".
# Source it, or put it into /usr/share/bash-completion/completions/l4d2ctl.
_l4d2ctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} path= expects= place=0 word i
	local -a globals=()
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		[[ $word == = ]] && continue
		if [[ -n $expects ]]; then
			case $expects in --root | --supervisor | --user) globals+=("$expects" "$word") ;; esac
			expects=
			continue
		fi
		case "$path $word" in
`)
	if list := bashValueFlags(app); list != "" {
		b.WriteString("\t\t" + list + ") expects=$word ;;\n")
	}
	b.WriteString("\t\t*' -'*) ;;\n")
	for _, c := range app.all()[1:] {
		parent := strings.TrimSuffix(strings.TrimSuffix(c.path, c.name), " ")
		fmt.Fprintf(&b, "\t\t'%s %s') path='%s' ;;\n", parent, c.name, c.path)
	}
	b.WriteString(`		*) place=$((place + 1)) ;;
		esac
	done
	[[ $cur == = ]] && cur=
	local offer=
	if [[ -n $expects ]]; then
		case "$path $expects" in
`)
	bashValues(&b, app)
	b.WriteString(`		esac
	elif [[ $cur == -* ]]; then
		case $path in
`)
	for _, c := range app.all()[1:] {
		fmt.Fprintf(&b, "\t\t'%s') offer='%s' ;;\n", c.path, strings.Join(flagWords(c), " "))
	}
	fmt.Fprintf(&b, "\t\tesac\n\t\toffer+=' %s --help'\n\telse\n\t\tcase \"$path $place\" in\n", strings.Join(flagWords(app), " "))
	for _, c := range app.all() {
		bashOperands(&b, c)
	}
	b.WriteString(`		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$offer" -- "$cur")
}
complete -F _l4d2ctl l4d2ctl
`)
	return b.String()
}

func flagWords(c *command) []string {
	var words []string
	for _, o := range c.flags {
		words = append(words, o.words()...)
	}
	return words
}

// bashPattern matches the option behind its command; one of the program's own may
// stand anywhere.
func bashPattern(c *command, word string) string {
	if c.path == "" {
		return "*' " + word + "'"
	}
	return "'" + c.path + " " + word + "'"
}

func bashPatterns(c *command, o option) string {
	var patterns []string
	for _, word := range o.words() {
		patterns = append(patterns, bashPattern(c, word))
	}
	return strings.Join(patterns, " | ")
}

func bashValueFlags(app *command) string {
	var patterns []string
	for _, c := range app.all() {
		for _, o := range c.flags {
			if o.value != "" {
				patterns = append(patterns, bashPatterns(c, o))
			}
		}
	}
	return strings.Join(patterns, " | ")
}

func bashValues(b *strings.Builder, app *command) {
	for _, c := range app.all() {
		for _, o := range c.flags {
			switch {
			case len(o.choices) > 0:
				fmt.Fprintf(b, "\t\t%s) offer='%s' ;;\n", bashPatterns(c, o), strings.Join(o.choices, " "))
			case o.names() == "file":
				fmt.Fprintf(b, "\t\t%s) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n", bashPatterns(c, o))
			case o.names() == "dir":
				fmt.Fprintf(b, "\t\t%s) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); return ;;\n", bashPatterns(c, o))
			}
		}
	}
}

func bashOperands(b *strings.Builder, c *command) {
	if len(c.below) > 0 {
		var names []string
		for _, s := range c.below {
			names = append(names, s.name)
		}
		fmt.Fprintf(b, "\t\t'%s 0') offer='%s' ;;\n", c.path, strings.Join(names, " "))
	}
	for i, v := range c.values {
		switch {
		case v.server():
			fmt.Fprintf(b, "\t\t'%s %d') offer=$(\"${COMP_WORDS[0]}\" \"${globals[@]}\" status --names 2>/dev/null) ;;\n", c.path, i)
		case v.file():
			fmt.Fprintf(b, "\t\t'%s '*) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n", c.path)
		case len(v.choices) > 0:
			fmt.Fprintf(b, "\t\t'%s %d') offer='%s' ;;\n", c.path, i, strings.Join(v.choices, " "))
		}
	}
}

// zshCompletion is a script for zsh: a function for each command.
func zshCompletion(app *command) string {
	var b strings.Builder
	b.WriteString(`#compdef l4d2ctl
# Completion of l4d2ctl for zsh, made by "l4d2ctl completion zsh".
# Put it into a folder of $fpath as _l4d2ctl.

_l4d2ctl_names() {
	local -a names
	names=(${(f)"$(_call_program names l4d2ctl status --names 2>/dev/null)"})
	compadd -a names
}
`)
	for _, c := range app.all() {
		zshFunction(&b, app, c)
	}
	b.WriteString(`
if [ "$funcstack[1]" = "_l4d2ctl" ]; then
	_l4d2ctl "$@"
else
	compdef _l4d2ctl l4d2ctl
fi
`)
	return b.String()
}

func zshName(c *command) string {
	return "_l4d2ctl" + strings.ReplaceAll(" "+c.path, " ", "_")
}

func zshFunction(b *strings.Builder, app, c *command) {
	name := strings.TrimSuffix(zshName(c), "_")
	fmt.Fprintf(b, "\n%s() {\n\tlocal curcontext=\"$curcontext\" state line\n\ttypeset -A opt_args\n\t_arguments -C -s \\\n", name)
	flags := app.flags
	if c != app {
		flags = append(append([]option{}, c.flags...), app.flags...)
	}
	for _, o := range flags {
		for _, word := range o.words() {
			fmt.Fprintf(b, "\t\t%s \\\n", zshQuote(zshFlag(o, word)))
		}
	}
	b.WriteString("\t\t'--help[Show help]'")
	if len(c.below) > 0 {
		b.WriteString(" \\\n\t\t'1:command:->command' \\\n\t\t'*::argument:->argument'\n\tcase $state in\n\tcommand)\n\t\tlocal -a commands\n\t\tcommands=(\n")
		for _, s := range c.below {
			fmt.Fprintf(b, "\t\t\t%s\n", zshQuote(s.name+":"+s.help))
		}
		b.WriteString("\t\t)\n\t\t_describe command commands\n\t\t;;\n\targument)\n\t\tcase $words[1] in\n")
		for _, s := range c.below {
			fmt.Fprintf(b, "\t\t%s) %s ;;\n", s.name, zshName(s))
		}
		b.WriteString("\t\tesac\n\t\t;;\n\tesac\n}\n")
		return
	}
	for i, v := range c.values {
		action := " "
		switch {
		case v.server():
			action = "_l4d2ctl_names"
		case v.file():
			action = "_files"
		case len(v.choices) > 0:
			action = "(" + strings.Join(v.choices, " ") + ")"
		}
		colon := ":"
		if v.optional {
			colon = "::"
		}
		fmt.Fprintf(b, " \\\n\t\t%s", zshQuote(fmt.Sprintf("%d%s%s:%s", i+1, colon, v.name, action)))
	}
	b.WriteString("\n}\n")
}

// zshFlag is one specification for _arguments: --root=[help]:DIR:_files.
func zshFlag(o option, word string) string {
	help := strings.NewReplacer("[", `\[`, "]", `\]`).Replace(o.help)
	if o.value == "" {
		return word + "[" + help + "]"
	}
	equals := "+"
	if strings.HasPrefix(word, "--") {
		equals = "="
	}
	action := " "
	switch {
	case len(o.choices) > 0:
		action = "(" + strings.Join(o.choices, " ") + ")"
	case o.names() == "file":
		action = "_files"
	case o.names() == "dir":
		action = "_files -/"
	}
	return fmt.Sprintf("%s%s[%s]:%s:%s", word, equals, help, o.value, action)
}

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishCompletion is a script for fish: a line for each thing that may come.
func fishCompletion(app *command) string {
	var b strings.Builder
	b.WriteString(`# Completion of l4d2ctl for fish, made by "l4d2ctl completion fish".
# Put it into ~/.config/fish/completions/l4d2ctl.fish.

function __l4d2ctl_names
	l4d2ctl status --names 2>/dev/null
end

complete -c l4d2ctl -f
`)
	for _, c := range app.all() {
		when := fishCondition(c)
		for _, s := range c.below {
			fmt.Fprintf(&b, "complete -c l4d2ctl -n %s -a %s -d %s\n", fishQuote(when), s.name, fishQuote(s.help))
		}
		for _, v := range c.values {
			switch {
			case v.server():
				fmt.Fprintf(&b, "complete -c l4d2ctl -n %s -a '(__l4d2ctl_names)' -d %s\n", fishQuote(when), fishQuote(v.help))
			case v.file():
				fmt.Fprintf(&b, "complete -c l4d2ctl -n %s -F -d %s\n", fishQuote(when), fishQuote(v.help))
			case len(v.choices) > 0:
				fmt.Fprintf(&b, "complete -c l4d2ctl -n %s -a %s -d %s\n", fishQuote(when), fishQuote(strings.Join(v.choices, " ")), fishQuote(v.help))
			}
		}
		for _, o := range c.flags {
			fishFlag(&b, c, o)
		}
	}
	return b.String()
}

// fishCondition is true where c is the command under the cursor.
func fishCondition(c *command) string {
	if c.path == "" {
		return "__fish_use_subcommand"
	}
	var parts []string
	for _, word := range strings.Fields(c.path) {
		parts = append(parts, "__fish_seen_subcommand_from "+word)
	}
	if len(c.below) > 0 {
		var names []string
		for _, s := range c.below {
			names = append(names, s.name)
		}
		parts = append(parts, "not __fish_seen_subcommand_from "+strings.Join(names, " "))
	}
	return strings.Join(parts, "; and ")
}

func fishFlag(b *strings.Builder, c *command, o option) {
	fmt.Fprint(b, "complete -c l4d2ctl")
	if c.path != "" {
		fmt.Fprintf(b, " -n %s", fishQuote(fishCondition(c)))
	}
	fmt.Fprintf(b, " -l %s", o.long)
	if o.short != "" {
		fmt.Fprintf(b, " -s %s", o.short)
	}
	switch {
	case len(o.choices) > 0:
		fmt.Fprintf(b, " -x -a %s", fishQuote(strings.Join(o.choices, " ")))
	case o.names() == "dir":
		b.WriteString(" -x -a '(__fish_complete_directories)'")
	case o.names() == "file":
		b.WriteString(" -r -F")
	case o.value != "":
		b.WriteString(" -x")
	}
	fmt.Fprintf(b, " -d %s\n", fishQuote(o.help))
	if o.negatable {
		fmt.Fprintf(b, "complete -c l4d2ctl -n %s -l no-%s -d %s\n", fishQuote(fishCondition(c)), o.long, fishQuote("Not: "+o.help))
	}
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
