package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
	"left4me/hostops/privilege"
)

// specVariable carries an open spec over the exec that gives root up: the file
// may be readable by root only. It holds a descriptor's number and the name that
// was asked for, so it opens nothing that the process could not read anyway.
const specVariable = "LEFT4ME_SPEC_FD"

// dropRoot makes an ordinary user of a process that was started as root; the
// program begins again as that user and comes by here once more.
func dropRoot(c *cli, root, steamcmd, verb string, underSystemd bool) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if file := fileOf(c, verb); file != "" && file != "-" {
		if err := carrySpec(file); err != nil {
			return err
		}
	}
	o := privilege.Options{User: c.User, StateRoot: root, Reach: []string{filepath.Dir(steamcmd)}, OwnGroups: underSystemd}
	if verb == "doctor" {
		var err error
		if o, err = onlyLooking(o, steamcmd); err != nil {
			return err
		}
	}
	return privilege.Drop(o)
}

// fileOf is the file that a command reads for its user.
func fileOf(c *cli, verb string) string {
	switch verb {
	case "initialize":
		return c.Initialize.File
	case "build":
		return c.Overlay.Build.File
	case "gc":
		return c.Overlay.GC.PinsFrom
	}
	return ""
}

// onlyLooking makes nothing of the state root and gives it to nobody, as a doctor
// must not, and tries first what only root can.
func onlyLooking(o privilege.Options, steamcmd string) (privilege.Options, error) {
	if err := lookAsRoot(o.StateRoot, steamcmd); err != nil {
		return o, err
	}
	var st unix.Stat_t
	if o.User == "" && os.Getenv(privilege.EnvUser) == "" && unix.Stat(o.StateRoot, &st) == nil && st.Uid != 0 {
		o.User = strconv.Itoa(int(st.Uid))
	}
	o.Reach = append(o.Reach, o.StateRoot)
	o.StateRoot = ""
	return o, nil
}

func carrySpec(file string) error {
	f, err := openFile(file)
	if err != nil {
		return err
	}
	fd, err := unix.Dup(int(f.Fd())) // a duplicate survives the exec
	if err != nil {
		return fmt.Errorf("hand on %s: %w", file, err)
	}
	return os.Setenv(specVariable, fmt.Sprintf("%d:%s", fd, file))
}

// openSpec opens what -f named and says what it is called in messages.
func openSpec(file string, stdin io.Reader) (io.ReadCloser, string, error) {
	if file == "-" {
		return io.NopCloser(stdin), "spec", nil
	}
	number, name, carried := strings.Cut(os.Getenv(specVariable), ":")
	if fd, err := strconv.Atoi(number); carried && err == nil && fd > 2 && name == file {
		return os.NewFile(uintptr(fd), file), file, nil
	}
	f, err := openFile(file)
	return f, file, err
}

func openFile(file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, sentence{fmt.Sprintf("the spec cannot be read: %v", err), ctl.ErrBadSpec}
	}
	return f, nil
}
