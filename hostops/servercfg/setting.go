package servercfg

import (
	"errors"
	"strconv"
	"strings"
)

// Setting writes "name value" so that the engine reads back exactly value, or says
// why there is no such line.
func Setting(name, value string) (string, error) {
	for _, line := range []string{name + ` "` + value + `"`, name + " " + value} {
		commands := Commands(line)
		if len(commands) == 1 && commands[0].Name == name && commands[0].Value() == value {
			return line, nil
		}
	}
	switch {
	case strings.Contains(value, ";"):
		return "", errors.New(`a ';' outside quotes ends the command there, and the quote marks leave no way around it`)
	case strings.Contains(value, "//"):
		return "", errors.New(`a // outside quotes begins a comment, and the quote marks leave no way around it`)
	}
	return "", errors.New("the game's configuration format has no form for it")
}

// Last is the value that variable has after the engine executed text, without what
// other files that text executes make of it; see Config.Last.
func Last(text, variable string) string {
	value := ""
	for _, c := range Commands(text) {
		if strings.EqualFold(c.Name, variable) {
			value = c.Value()
		}
	}
	return value
}

// IsOn says whether the engine takes a variable's value for switched on: a number
// that is not zero.
func IsOn(value string) bool {
	n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && n != 0
}
