package models

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitArguments(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"nothing":              {"", nil},
		"only blanks":          {" \t\r\n ", nil},
		"as one would type it": {`-tickrate 60 +sv_setmax 31 +map "c2m1_highway versus"`, []string{"-tickrate", "60", "+sv_setmax", "31", "+map", "c2m1_highway versus"}},
		"lines":                {"-tickrate 60\r\n+map c1m1_hotel\n", []string{"-tickrate", "60", "+map", "c1m1_hotel"}},
		"quotes inside a word": {`a"b c"d`, []string{"ab cd"}},
		"nothing is expanded":  {`$(id) \n 'a b' ; ` + "`x`", []string{"$(id)", `\n`, "'a", "b'", ";", "`x`"}},
		"other scripts":        {`+hostname "Пятница versus"`, []string{"+hostname", "Пятница versus"}},
	}
	for name, tt := range tests {
		got, err := SplitArguments(tt.text)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: SplitArguments(%q) = %q, %v, want %q", name, tt.text, got, err, tt.want)
		}
	}
	for text, part := range map[string]string{`+map "c1m1`: "at character 6", `ü "x" "`: "at character 7", `a ""`: "Argument 2 is empty"} {
		_, err := SplitArguments(text)
		if e, ok := AsInvalid(err); !ok || e.Field != "arguments" || !strings.Contains(e.Message, part) {
			t.Errorf("SplitArguments(%q): %v, want a sentence with %q", text, err, part)
		}
	}
}

func FuzzArguments(f *testing.F) {
	f.Add(`-tickrate 60 +map "c2m1_highway versus" a"b c"d`)
	f.Fuzz(func(t *testing.T, text string) {
		args, err := SplitArguments(text)
		if err != nil {
			return
		}
		joined := JoinArguments(args)
		again, err := SplitArguments(joined)
		if err != nil || !slices.Equal(args, again) {
			t.Errorf("%q became %q, written %q, which is %q (%v)", text, args, joined, again, err)
		}
	})
}
