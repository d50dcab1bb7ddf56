package hostops

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

const someUpload = "0192f0c1-0000-7000-8000-000000000001"

func TestOverlaySpecs(t *testing.T) {
	sum := strings.Repeat("a", 64)
	for text, want := range map[string]ctl.OverlaySpec{
		"kind: workshop\nitems: [2085384083, \"121077480\"]\nfetch: true\n": {Kind: ctl.OverlayWorkshop, Items: []string{"2085384083", "121077480"}, Fetch: true},
		"kind: workshop\nitems: []\n":                                       {Kind: ctl.OverlayWorkshop},
		"kind: script\nscript: |\n  echo hi\nlimits: {seconds: 600, memory_mb: 512, disk_mb: 1000}\n": {
			Kind: ctl.OverlayScript, Script: "echo hi\n", Limits: ctl.BuildLimits{Seconds: 600, MemoryMB: 512, DiskMB: 1000},
		},
		"kind: managed\nrecipe: sourcemod\noptions: {branch: \"1.12\"}\nby: Ann\nwhy: it is new\n": {
			Kind: ctl.OverlayManaged, Recipe: "sourcemod", Options: map[string]string{"branch": "1.12"}, By: "Ann", Why: "it is new",
		},
		"kind: files\nbase: 3\nadmit: [" + sum + "]\nchanges:\n- {op: put, path: left4dead2/cfg/a.cfg, upload: " + someUpload + ", name: a.cfg}\n" +
			"- {op: unpack, path: \"\", upload: " + someUpload + "}\n- {op: move, path: a, target: b/c}\n- {op: mkdir, path: x}\n- {op: delete, path: y}\n": {
			Kind: ctl.OverlayFiles, Base: 3, Admit: []string{sum}, Changes: []ctl.FileChange{
				{Op: ctl.FilePut, Path: "left4dead2/cfg/a.cfg", Upload: someUpload, Name: "a.cfg"},
				{Op: ctl.FileUnpack, Upload: someUpload},
				{Op: ctl.FileMove, Path: "a", Target: "b/c"},
				{Op: ctl.FileMkdir, Path: "x"},
				{Op: ctl.FileDelete, Path: "y"},
			},
		},
		"kind: files\nfrom: /home/me/maps\n": {Kind: ctl.OverlayFiles, From: "/home/me/maps"},
	} {
		got, err := ParseOverlaySpec("overlay.yaml", strings.NewReader(text))
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
			continue
		}
		// What the worker pipes is the same in JSON.
		data, err := got.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseOverlaySpec("spec", strings.NewReader(string(data)))
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", got) {
			t.Errorf("%s is %+v, %v", data, again, err)
		}
	}
}

func TestOverlaySpecsThatAreRefused(t *testing.T) {
	change := func(text string) string { return "kind: files\nchanges:\n- " + text + "\n" }
	for text, says := range map[string]string{
		"":                                     "overlay.yaml: the spec is empty: it needs at least kind",
		"- a\n":                                `overlay.yaml:1: a spec is a list of fields such as "kind: files", not a list`,
		"items: [1]\n":                         "overlay.yaml: kind is missing",
		"kind: maps\n":                         `overlay.yaml:1: "maps" is no kind of overlay`,
		"kind: files\nitmes: [1]\n":            `overlay.yaml:2: unknown field "itmes" (did you mean "items"?)`,
		"kind: files\nkind: files\n":           "overlay.yaml:2: kind is given twice",
		"kind: files\nitems: [1]\n":            "overlay.yaml:2: items does not belong to a files overlay (its fields are base, from, changes)",
		"kind: script\nrecipe: x\nscript: x\n": "overlay.yaml:2: recipe does not belong to a script overlay",
		"kind: workshop\nitems: [1, 1]\n":      "item 1 is listed twice",
		"kind: workshop\nitems: [0]\n":         `"0" is not the number of a workshop item`,
		"kind: workshop\nitems: [007]\n":       `is not the number of a workshop item`,
		"kind: workshop\nitems: [-5]\n":        `is not the number of a workshop item`,
		"kind: workshop\nitems: [\"99999999999999999999\"]\n":               `is not the number of a workshop item`,
		"kind: workshop\nitems: [\"../7\"]\n":                               `"../7" is not the number of a workshop item`,
		"kind: workshop\nitems: [1]\nfetch: 1\n":                            "fetch must be true or false",
		"kind: script\nscript: \"  \"\n":                                    "script is empty",
		"kind: script\n":                                                    "script is empty",
		"kind: script\nscript: x\nlimits: {seconds: -1}\n":                  "limits has the number -1",
		"kind: script\nscript: x\nlimits: {second: 1}\n":                    `unknown field "second" (did you mean "seconds"?)`,
		"kind: script\nscript: x\nlimits: 5\n":                              "limits must be a group of fields",
		"kind: script\nscript: " + strings.Repeat("x", 300000):              "script has 300000 bytes",
		"kind: managed\nrecipe: ../x\n":                                     "recipe must name one that comes with left4me",
		"kind: managed\n":                                                   "recipe must name one that comes with left4me",
		"kind: managed\nrecipe: x\noptions: {a: 1}\n":                       "option a must be text",
		"kind: managed\nrecipe: x\noptions: {a: \"x\\ny\"}\n":               "option a contains a control character",
		"kind: managed\nrecipe: x\noptions: {\"a b\": y}\n":                 `"a b" is not the name of an option`,
		"kind: managed\nrecipe: x\noptions: {a: y, a: z}\n":                 "option a is given twice",
		"kind: files\nbase: -1\n":                                           "base must be the number of a version",
		"kind: files\nbase: 9223372036854775807\n":                          "base must be the number of a version",
		"kind: files\nbase: 99999999999999999999\n":                         "base must be a",
		"kind: files\nbase: 1\nfrom: /x\n":                                  "base and from exclude each other",
		"kind: files\nfrom: maps\n":                                         "from must be the whole path",
		"kind: files\nfrom: /a/../b\n":                                      "from must be the whole path",
		"kind: files\nadmit: [xyz]\n":                                       "admit entry 1 is no SHA-256",
		"kind: files\nby: \"a\\nb\"\n":                                      "by contains a control character",
		"kind: files\nwhy: " + strings.Repeat("x", 501):                     "why has 501 bytes",
		"kind: files\nby: &a x\nwhy: *a\n":                                  "anchors and aliases",
		change("{op: put, path: ../x, upload: " + someUpload + "}"):         `overlay.yaml:3: change 1: path: "../x" is no path of a file`,
		change("{op: put, path: /etc/passwd, upload: " + someUpload + "}"):  "is no path of a file",
		change("{op: put, path: a, upload: ../../etc/passwd}"):              `upload must be the id of an upload`,
		change("{op: put, path: a}"):                                        `upload must be the id of an upload`,
		change("{op: put, path: a, upload: " + someUpload + ", name: a/b}"): "name is that of a file",
		change("{op: put, path: a, upload: " + someUpload + ", target: b}"): "put takes no target",
		change("{op: delete, path: a, upload: " + someUpload + "}"):         "delete takes no upload",
		change("{op: delete, path: \"\"}"):                                  "is no path of a file",
		change("{op: move, path: a}"):                                       "target: \"\" is no path of a file",
		change("{op: copy, path: a}"):                                       `"copy" is no change`,
		change("{op: mkdir, path: \"a\\u0001b\"}"):                          "control character",
		change("{op: mkdir, path: " + strings.Repeat("x", 256) + "}"):       "more than 255 bytes",
		change("{op: mkdir, path: " + strings.Repeat("x/", 40) + "x}"):      "deeper than 32 folders",
		change("{op: mkdir, path: a, mode: \"777\"}"):                       `unknown field "mode"`,
		change("mkdir a"):                                                   "change 1 must be a group of fields",
		"kind: files\nchanges: {op: mkdir}\n":                               "changes must be a list",
		"kind: files\x00":                                                   "a NUL byte",
	} {
		s, err := ParseOverlaySpec("overlay.yaml", strings.NewReader(text))
		if !errors.Is(err, ctl.ErrBadSpec) || !strings.HasPrefix(err.Error(), "overlay.yaml:") || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80q is %+v, %v; want %q", text, s, err, says)
		}
	}
	if _, err := ParseOverlaySpec("x", strings.NewReader("kind: script\nscript: "+strings.Repeat("x", 17<<20))); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("a huge one: %v", err)
	}
	many := "kind: workshop\nitems:\n"
	for i := range maxItems + 1 {
		many += fmt.Sprintf("- %d\n", i+1)
	}
	if _, err := ParseOverlaySpec("x", strings.NewReader(many)); err == nil || !strings.Contains(err.Error(), "2001 items are too many") {
		t.Errorf("many items: %v", err)
	}
}

func FuzzOverlaySpec(f *testing.F) {
	f.Add("kind: workshop\nitems: [1]\n")
	f.Add("{\"kind\":\"files\",\"changes\":[{\"op\":\"delete\",\"path\":\"a\"}]}")
	f.Add("kind: script\nscript: |\n  echo\nlimits: {seconds: 1}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseOverlaySpec("spec", strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, ctl.ErrBadSpec) {
				t.Errorf("%v is no ErrBadSpec", err)
			}
			return
		}
		for _, c := range s.Changes {
			if strings.Contains(c.Path, "..") && strings.Contains("/"+c.Path+"/", "/../") || strings.HasPrefix(c.Path, "/") {
				t.Errorf("%q was accepted", c.Path)
			}
		}
	})
}
