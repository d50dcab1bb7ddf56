package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"left4me/steamsim"
)

type serveCmd struct {
	Listen   string `default:"127.0.0.1:0" help:"HOST:PORT; port 0 takes a free one. The base URL is the first line of output."`
	Control  string `type:"path" placeholder:"FILE" help:"Control file, read again for each request. The one of link (DIR/steamsim.json) serves steamcmd, the game and this."`
	Speed    string `default:"demo" help:"Where the control file does not say: demo, fast, instant, or a factor."`
	Lifeline bool   `help:"End when standard input does."`
}

// Run serves until it is told to stop.
func (c serveCmd) Run() error {
	speed, err := steamsim.ParseSpeed(c.Speed)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var lifeline io.Reader
	if c.Lifeline {
		lifeline = os.Stdin
	}
	return steamsim.Serve(ctx, steamsim.ServeOptions{
		Listen: c.Listen, Control: c.Control, Speed: speed, Lifeline: lifeline,
		Ready: func(url string) { fmt.Println(url) },
	})
}

type catalogueCmd struct{}

// Run prints what the simulated workshop has.
func (catalogueCmd) Run() error {
	for _, line := range steamsim.Known() {
		if _, err := fmt.Println(line); err != nil {
			return err
		}
	}
	return nil
}
