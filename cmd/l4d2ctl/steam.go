package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

type steamCmd struct {
	Login  steamLoginCmd  `cmd:"" help:"Keep a Steam account that owns the game, for installs that do not work without one. Reads its name and password, a line each."`
	Logout steamLogoutCmd `cmd:"" help:"Forget that account."`

	Profiles steamProfilesCmd `cmd:"" help:"Ask Steam for names and pictures of players. Reads a Web API key and up to 100 Steam ids, a line each."`
}

type steamLoginCmd struct{}

// Run reads an account from standard input: a command line can be seen by others.
func (c *steamLoginCmd) Run(env *environment) error {
	in := bufio.NewReader(io.LimitReader(env.stdin, 4096))
	terminal, _ := env.stdin.(*os.File)
	if terminal != nil {
		if _, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS); err != nil {
			terminal = nil
		}
	}
	user, err := ask(env, in, terminal != nil, "Name of the Steam account: ")
	if err != nil {
		return err
	}
	password, err := askHidden(env, in, terminal, "Password (it is not shown): ")
	if err != nil {
		return err
	}
	if err := env.host.SteamLogin(steam.Login{User: user, Password: password}); err != nil {
		return err
	}
	env.out.emit(ctl.Event{Type: ctl.EventLog, At: time.Now().UTC(), Stream: ctl.StreamCtl, Text: "The account is kept. Installs use it when the other ways do not work; l4d2ctl install --method login uses it at once."})
	return nil
}

type steamLogoutCmd struct{}

// Run forgets the account.
func (c *steamLogoutCmd) Run(env *environment) error {
	if err := env.host.SteamLogout(); err != nil {
		return err
	}
	env.out.emit(ctl.Event{Type: ctl.EventLog, At: time.Now().UTC(), Stream: ctl.StreamCtl, Text: "The account is forgotten."})
	return nil
}

func ask(env *environment, in *bufio.Reader, prompt bool, question string) (string, error) {
	if prompt {
		fmt.Fprint(env.stderr, question)
	}
	line, err := in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the account: %w", err)
	}
	if err != nil && line == "" {
		return "", sentence{"no account was given: its name and its password are expected on standard input, a line each", ctl.ErrUsage}
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// askHidden asks with the terminal's echo off, and on again however that ends.
func askHidden(env *environment, in *bufio.Reader, terminal *os.File, question string) (string, error) {
	if terminal == nil {
		return ask(env, in, false, question)
	}
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("look at the terminal: %w", err)
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ECHONL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", fmt.Errorf("keep the password off the terminal: %w", err)
	}
	restore := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) } // the terminal is gone at worst
	defer restore()
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1)
	go func() { // ends with the answer, or with the process
		text, err := ask(env, in, true, question)
		read <- answer{text, err}
	}()
	select {
	case a := <-read:
		return a.text, a.err
	case <-env.ctx.Done(): // a blocked read does not end with it
		return "", sentence{"cancelled: no account was kept", ctl.ErrCancelled}
	}
}

type steamProfilesCmd struct{}

// Run reads the key from standard input: a command line can be seen by others.
func (c *steamProfilesCmd) Run(env *environment) error {
	data, err := io.ReadAll(io.LimitReader(env.stdin, 16<<10))
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	lines := strings.Fields(string(data))
	if len(lines) < 2 {
		return sentence{"a Steam Web API key and the Steam ids of players are expected on standard input, a line each", ctl.ErrUsage}
	}
	ids := lines[1:]
	for i, id := range ids {
		if long, ok := ctl.SteamID64(id); ok {
			ids[i] = long
		}
	}
	return env.host.SteamProfiles(env.ctx, lines[0], ids)
}
