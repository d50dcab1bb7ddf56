package main

import (
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"left4me/hostops/vpk/vpktest"
)

// makevpk FILE PATH...: packs the script's files into an add-on.
func cmdMakeVPK(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: makevpk FILE PATH...")
	}
	var files []string
	for _, path := range args[1:] {
		files = append(files, path, ts.ReadFile(path))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), vpktest.Of(files...), 0o644))
}

// cutfile FILE: takes the last byte away, as a broken download does.
func cmdCutFile(ts *testscript.TestScript, _ bool, args []string) {
	data := ts.ReadFile(strings.Join(args, " "))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(data[:len(data)-1]), 0o644))
}
