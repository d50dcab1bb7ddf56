package hostops

import (
	"reflect"
	"testing"
	"time"

	"left4me/hostops/ctl"
)

func TestPlan(t *testing.T) {
	at := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	spec := ctl.Spec{
		Port: 27016, Overlays: []string{"12/v3", "4/v17"}, RCONPassword: "secret1234",
		Arguments: []string{"-tickrate", "60", "+sv_setmax", "31", "+map", "c2m1_highway versus"},
	}
	l := plan("/srv/l4m", "friday", spec, "instances/friday/layers/abc", at)
	wantLayers := []string{"instances/friday/layers/abc", "overlays/12/v3", "overlays/4/v17", "installation"}
	if !reflect.DeepEqual(l.Layers, wantLayers) {
		t.Errorf("layers %q, want %q", l.Layers, wantLayers)
	}
	wantArgv := []string{
		"srcds_linux", "-game", "left4dead2", "-console", "-usercon", "-strictportbind", "+ip", "0.0.0.0", "-port", "27016",
		"-tickrate", "60", "+sv_setmax", "31", "+map", "c2m1_highway versus",
	}
	if !reflect.DeepEqual(l.Argv, wantArgv) {
		t.Errorf("argv %q, want %q", l.Argv, wantArgv)
	}
	wantEnv := []string{"HOME=/srv/l4m/steam", "LD_LIBRARY_PATH=.:bin", "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TERM=dumb"}
	if !reflect.DeepEqual(l.Env, wantEnv) {
		t.Errorf("environment %q, want %q", l.Env, wantEnv)
	}
	if l.Applied.Spec != spec.Sum() || l.Applied.Layer != wantLayers[0] || !l.Applied.At.Equal(at) {
		t.Errorf("applied %+v", l.Applied)
	}
	if got := portOf(l.Argv, 0); got != 27016 {
		t.Errorf("portOf reads %d", got)
	}
}

func TestArgumentsHaveAMap(t *testing.T) {
	tests := map[string]struct {
		given []string
		added bool
	}{
		"none":         {nil, true},
		"separate":     {[]string{"+map", "c3m1_plankcountry"}, false},
		"in one":       {[]string{"+map c3m1_plankcountry"}, false},
		"other case":   {[]string{"+MAP", "x"}, false},
		"another word": {[]string{"+mapcycle", "x"}, true},
		"as a value":   {[]string{"+say", "the +map"}, true},
	}
	for name, tt := range tests {
		got := arguments(ctl.Spec{Port: 27015, Arguments: tt.given})
		added := len(got) > 2 && got[len(got)-2] == "+map" && got[len(got)-1] == defaultMap
		if added != tt.added {
			t.Errorf("%s: %q gave %q", name, tt.given, got)
		}
	}
}
