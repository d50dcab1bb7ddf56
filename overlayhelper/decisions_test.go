package overlayhelper

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseLayersRefuses(t *testing.T) {
	many := make([]string, MaxLayers+1)
	for i := range many {
		many[i] = fmt.Sprintf("%d/v1", i)
	}
	for name, list := range map[string]string{
		"a path up":         "../../etc\n",
		"an absolute path":  "/etc\n",
		"no version":        "12\n",
		"a folder below":    "12/v3/cfg\n",
		"a colon":           "1/v1:2/v1\n",
		"a comma":           "1/v1,2/v1\n",
		"a backslash":       `1/v1\` + "\n",
		"a space":           " 1/v1\n",
		"a CR":              "1/v1\r\n",
		"a NUL":             "1/v1\x00\n",
		"an empty line":     "1/v1\n\n2/v1\n",
		"only an empty":     "\n",
		"twice":             "1/v1\n2/v1\n1/v1\n",
		"twice, generated":  "@0123456789ab\n@0123456789ab\n",
		"a short hash":      "@0123456789a\n",
		"an upper-case":     "@0123456789AB\n",
		"a hash with path":  "@../../../../e\n",
		"a long number":     "1234567890/v1\n",
		"too many":          strings.Join(many, "\n") + "\n",
		"too long":          strings.Repeat("1/v1\n", MaxListBytes/5+1),
		"other digits":      "١/v١\n",
		"the installation":  "installation\n",
		"no newline inside": "1/v12/v1",
	} {
		if layers, err := ParseLayers([]byte(list)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %q, %v; want a refusal", name, layers, err)
		} else if len(list) > 3 && strings.Contains(err.Error(), strings.TrimSpace(list[:4])) {
			t.Errorf("%s: the sentence quotes the list: %v", name, err)
		}
	}
}

func TestLayersRoundTrip(t *testing.T) {
	for _, layers := range [][]Layer{nil, {"12/v3"}, {"@0123456789ab", "12/v3", "4/v17"}} {
		got, err := ParseLayers(EncodeLayers(layers))
		if err != nil || !slices.Equal(got, layers) {
			t.Errorf("%q became %q, %v", layers, got, err)
		}
		got, err = ParseApplied("friday", EncodeApplied("friday", layers))
		if err != nil || !slices.Equal(got, layers) {
			t.Errorf("the record of %q became %q, %v", layers, got, err)
		}
	}
	if got, err := ParseLayers([]byte("1/v1")); err != nil || len(got) != 1 {
		t.Errorf("a last line without its newline: %q, %v", got, err)
	}
	for name, record := range map[string]string{
		"empty": "", "cut off": "left4me:friday:012", "another server's": string(EncodeApplied("x", nil)),
		"other layers": Source("friday", nil) + "\n1/v1\n",
	} {
		if got, err := ParseApplied("friday", []byte(record)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s record: %q, %v", name, got, err)
		}
	}
}

func TestLayerWhere(t *testing.T) {
	if p, rel := Layer("12/v3").Where(); p != PlaceOverlays || rel != "12/v3" {
		t.Errorf("12/v3 is %d %s", p, rel)
	}
	if p, rel := Layer("@0123456789ab").Where(); p != PlaceInstance || rel != "layers/0123456789ab" {
		t.Errorf("@0123456789ab is %d %s", p, rel)
	}
}

// Order and every layer count; and a source of one server is never another's.
func TestSource(t *testing.T) {
	seen := map[string]bool{}
	for _, layers := range [][]Layer{nil, {"1/v1"}, {"1/v2"}, {"1/v1", "2/v1"}, {"2/v1", "1/v1"}, {"@0123456789ab"}} {
		s := Source("friday", layers)
		if seen[s] || len(s) != len("left4me:friday:")+12 {
			t.Errorf("%q has the source %s", layers, s)
		}
		seen[s] = true
	}
	e := MountEntry{Type: "overlay", Source: Source("friday-2", nil)}
	if e.OfInstance("friday") || !e.OfInstance("friday-2") {
		t.Errorf("%s belongs to the wrong server", e.Source)
	}
	e.Type = "ext4"
	if e.OfInstance("friday-2") {
		t.Error("a file system that is no overlay is ours")
	}
}

const samplePasswd = `root:x:0:0:root:/root:/bin/bash
# a comment
left4me:x:980:981:left4me:/var/lib/left4me:/usr/sbin/nologin
l4d2:x:979:979::/:/usr/sbin/nologin
left4me:x:0:0:an impostor:/:/bin/sh
`

func TestParsePasswd(t *testing.T) {
	u, err := ParsePasswd(strings.NewReader(samplePasswd))
	if err != nil || u.Service != (User{980, 981}) || u.Game != (User{979, 979}) || u.Build != nil {
		t.Errorf("%+v, %v", u, err)
	}
	u, err = ParsePasswd(strings.NewReader(samplePasswd + "l4d2-build:x:978:978::/:/bin/false\n"))
	if err != nil || u.Build == nil || *u.Build != (User{978, 978}) {
		t.Errorf("%+v, %v", u, err)
	}
	for text, class := range map[string]error{
		"":                                                         ErrFailed,
		"left4me:x:980:981:::\n":                                   ErrFailed,
		"left4me:x:980:981:::\nl4d2:x:0:5:::\n":                    ErrRefused,
		"left4me:x:980:981:::\nl4d2:x:5:0:::\n":                    ErrRefused,
		"left4me:x:-1:981:::\nl4d2:x:5:5:::\n":                     ErrFailed,
		"left4me:x:4294967296:981:::\nl4d2:x:5:5:::\n":             ErrFailed,
		"left4me:x:980:981:::\nl4d2:x:5:5\n":                       ErrFailed,
		"xleft4me:x:980:981:::\nl4d2:x:5:5:::\n":                   ErrFailed,
		"left4me:x:5:5:::\nl4d2:x::5:::\n":                         ErrFailed,
		strings.Repeat("a", 2<<20):                                 ErrFailed,
		"left4me:x:1:1:::\nl4d2:x:2:2:::\nl4d2-build:x:0:0:::\n\n": ErrRefused,
	} {
		if u, err := ParsePasswd(strings.NewReader(text)); !errors.Is(err, class) {
			t.Errorf("%.80q: %+v, %v; want %v", text, u, err, class)
		}
	}
}

func TestLayerOwner(t *testing.T) {
	b := User{978, 978}
	u := Users{Service: User{980, 980}, Game: User{979, 979}, Build: &b}
	for _, tt := range []struct {
		m    Meta
		want *User
		err  error
	}{
		{Meta{UID: 980, Mode: 0o755}, &User{980, 980}, nil},
		{Meta{UID: 978, Mode: 0o700}, &User{978, 978}, nil},
		{Meta{UID: 0, Mode: 0}, nil, nil},
		{Meta{UID: 979, Mode: 0o755}, nil, ErrRefused},
		{Meta{UID: 1000, Mode: 0o755}, nil, ErrRefused},
		{Meta{UID: 980, Mode: 0o777}, nil, ErrRefused},
		{Meta{UID: 0, Mode: 0o1777}, nil, ErrRefused},
	} {
		got, err := LayerOwner("the layer", tt.m, u)
		if !errors.Is(err, tt.err) || (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
			t.Errorf("%+v: %v, %v; want %v, %v", tt.m, got, err, tt.want, tt.err)
		}
	}
	u.Build = nil
	if _, err := LayerOwner("the layer", Meta{UID: 978, Mode: 0o755}, u); !errors.Is(err, ErrRefused) {
		t.Errorf("without a build user, user 978's layer: %v", err)
	}
	u.Game = u.Service
	if got, err := LayerOwner("the layer", Meta{UID: 980, Mode: 0o755}, u); got != nil || err != nil {
		t.Errorf("the game's own layer: %v, %v; want it as it is", got, err)
	}
}

const sampleMountinfo = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
35 27 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue
40 27 0:50 / /a rw shared:3 - tmpfs  rw
41 27 0:51 / /var/lib/left4me/runtime/friday/merged rw,nosuid,nodev,relatime shared:4 - overlay left4me:friday:0123456789ab rw,lowerdir=9:10
`

func TestParseMountinfo(t *testing.T) {
	got, err := ParseMountinfo(strings.NewReader(sampleMountinfo))
	if err != nil || len(got) != 5 {
		t.Fatalf("%+v, %v", got, err)
	}
	if e := got[2]; e != (MountEntry{ID: 35, Parent: 27, Point: `/mnt 2\x`, Type: "ext3", Source: "/dev/root"}) {
		t.Errorf("escapes: %+v", e)
	}
	if e := got[3]; e.Type != "tmpfs" || e.Source != "" {
		t.Errorf("an empty source: %+v", e)
	}
	if e := got[4]; !e.OfInstance("friday") || !e.Below("/var/lib/left4me/runtime/friday") || e.Below("/var/lib/left4me/runtime/fri") || e.Below(e.Point) {
		t.Errorf("ours: %+v", e)
	}
	for _, bad := range []string{"x\n", "1 2 3:4 / /a rw no separator\n", "a 2 3:4 / /a rw - x y z\n", "1 2 - x y z\n", "\n", strings.Repeat("a", 2<<20)} {
		if got, err := ParseMountinfo(strings.NewReader(bad)); !errors.Is(err, ErrFailed) {
			t.Errorf("%.40q: %+v, %v", bad, got, err)
		}
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add(sampleMountinfo)
	f.Add("1 1 0:0 \\ \\04 rw - a \\ \n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := ParseMountinfo(strings.NewReader(text))
		if err == nil && len(entries) > strings.Count(text, "\n")+1 {
			t.Errorf("%d entries from %q", len(entries), text)
		}
	})
}

func FuzzParseLayers(f *testing.F) {
	f.Add([]byte("@0123456789ab\n12/v3\n4/v17\n"))
	f.Fuzz(func(t *testing.T, list []byte) {
		layers, err := ParseLayers(list)
		if err != nil {
			return
		}
		for _, l := range layers {
			if _, rel := l.Where(); strings.Contains(rel, "..") || strings.HasPrefix(rel, "/") || strings.ContainsAny(rel, ":,\\\n\x00 ") {
				t.Errorf("%q was accepted", rel)
			}
		}
		if again, err := ParseLayers(EncodeLayers(layers)); err != nil || !slices.Equal(again, layers) {
			t.Errorf("%q became %q, %v", layers, again, err)
		}
	})
}

func TestCheckInit(t *testing.T) {
	first := InitFacts{
		OwnPID: NS{4, 0xEFFFFFFC}, InitPID: NS{4, 0xEFFFFFFC},
		OwnUser: NS{4, 0xEFFFFFFD}, InitUser: NS{4, 0xEFFFFFFD},
		InitCgroup: "0::/init.scope\n",
	}
	change := func(do func(*InitFacts)) InitFacts { f := first; do(&f); return f }
	container := change(func(f *InitFacts) { f.OwnPID.Ino, f.InitPID.Ino = 4026532300, 4026532300 })
	with := func(cgroup string) InitFacts { f := container; f.InitCgroup = cgroup; return f }
	for name, tt := range map[string]struct {
		facts InitFacts
		ok    bool
	}{
		"the machine":                   {first, true},
		"the machine, another init":     {change(func(f *InitFacts) { f.InitCgroup = "0::/\n" }), true},
		"systemd in a container":        {container, true},
		"systemd, cgroup v1":            {with("4:memory:/x\n1:name=systemd:/init.scope\n0::/x\n"), true},
		"systemd below a slice":         {with("0::/machine.slice/d13/init.scope\n"), true},
		"a unit with PrivatePIDs":       {with("0::/system.slice/left4me-worker.service\n"), false},
		"a container without systemd":   {with("0::/\n"), false},
		"no cgroup":                     {with(""), false},
		"a controller's init.scope":     {with("3:memory:/init.scope\n"), false},
		"something like init.scope":     {with("0::/notinit.scope\n"), false},
		"another PID namespace":         {change(func(f *InitFacts) { f.OwnPID.Ino++ }), false},
		"another user namespace":        {change(func(f *InitFacts) { f.OwnUser.Ino++ }), false},
		"init in another one":           {change(func(f *InitFacts) { f.InitUser.Ino++ }), false},
		"the same number, another file": {change(func(f *InitFacts) { f.OwnPID.Dev++ }), false},
	} {
		if err := CheckInit(tt.facts); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrNotHost) {
			t.Errorf("%s: %v, want ok %v", name, err, tt.ok)
		}
	}
}

func TestExitCodes(t *testing.T) {
	if ExitCode(nil) != 0 || CodeError(0) != nil {
		t.Error("success is not 0")
	}
	for code, class := range exitCodes {
		err := fmt.Errorf("outer: %w", Fail(class, "a sentence about %s: %w", "it", errors.New("cause")))
		if ExitCode(err) != code || !errors.Is(CodeError(code), class) {
			t.Errorf("%v: exit %d and back %v, want %d", err, ExitCode(err), CodeError(code), code)
		}
		if err.Error() != "outer: a sentence about it: cause" {
			t.Errorf("it reads %q", err)
		}
	}
	if ExitCode(errors.New("x")) != 1 || !errors.Is(CodeError(99), ErrFailed) {
		t.Error("what is in no class is not 1")
	}
}

func TestChecks(t *testing.T) {
	u := Users{Service: User{980, 980}, Game: User{979, 979}}
	for name, err := range map[string]error{
		"root's list":       CheckList(Meta{UID: 0, Mode: 0o644}, 0, u),
		"the game's list":   CheckList(Meta{UID: 979, Mode: 0o644}, 0, u),
		"everybody's list":  CheckList(Meta{UID: 980, Mode: 0o646}, 0, u),
		"a huge list":       CheckList(Meta{UID: 980, Mode: 0o644}, MaxListBytes+1, u),
		"a user's folder":   CheckPrivate("it", Meta{UID: 980, Mode: 0o755}),
		"a group's folder":  CheckPrivate("it", Meta{UID: 0, Mode: 0o775}),
		"everybody's again": CheckPrivate("it", Meta{UID: 0, Mode: 0o1777}),
	} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	if err := errors.Join(CheckList(Meta{UID: 980, Mode: 0o640}, MaxListBytes, u), CheckPrivate("it", Meta{Mode: 0o755})); err != nil {
		t.Error(err)
	}
}
