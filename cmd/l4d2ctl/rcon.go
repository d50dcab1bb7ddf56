package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"left4me/hostops/ctl"
)

type rconCmd struct {
	Name    string   `arg:"" help:"Name of the server."`
	Command []string `arg:"" optional:"" passthrough:"" help:"The command; a line of standard input without it."`
}

// Run sends a command to the game's console and prints the answer.
func (c *rconCmd) Run(env *environment) error {
	line, err := lineOf(env, c.Command)
	if err != nil {
		return err
	}
	return env.host.Rcon(env.ctx, c.Name, line)
}

// maxLine is how much of standard input is read for one line.
const maxLine = 4 << 10

// lineOf is the line that was typed behind the command, or one of standard input.
func lineOf(env *environment, words []string) (string, error) {
	if len(words) > 0 {
		return strings.Join(words, " "), nil
	}
	line, err := bufio.NewReader(io.LimitReader(env.stdin, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the line: %w: %w", err, ctl.ErrUsage)
	}
	return line, nil
}
