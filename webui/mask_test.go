package webui

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAttack24MaskInFiles(t *testing.T) {
	t.Parallel()
	const secret = "opensesame123"
	m := rconMask{[]byte(secret)}
	for name, tt := range map[string]struct{ in, want string }{
		"the password":      {"say opensesame123 is it", "say ************* is it"},
		"twice":             {"opensesame123opensesame123", strings.Repeat("*", 26)},
		"another one":       {`rcon_password "older one"` + "\nx", `rcon_password "***** one"` + "\nx"},
		"unquoted":          {"RCON_PASSWORD\tolder;sv_x 1", "RCON_PASSWORD\t*****;sv_x 1"},
		"asked for":         {`"rcon_password" = "older" ( def. "" )`, `"rcon_password" = "*****" ( def. "" )`},
		"argument":          {"+rcon_password older +map x", "+rcon_password ***** +map x"},
		"nothing":           {"rcon_password", "rcon_password"},
		"other bytes":       {"\x00\xff\x1b[1mopensesame12", "\x00\xff\x1b[1mopensesame12"},
		"at the very end":   {strings.Repeat("x", 40_000) + secret, strings.Repeat("x", 40_000) + strings.Repeat("*", len(secret))},
		"over a boundary":   {strings.Repeat("x", 32<<10-5) + secret + "y", strings.Repeat("x", 32<<10-5) + strings.Repeat("*", len(secret)) + "y"},
		"setting over one":  {strings.Repeat("x", 32<<10-9) + "rcon_password older\n", strings.Repeat("x", 32<<10-9) + "rcon_password *****\n"},
		"over a small read": {strings.Repeat("x", 3_000) + secret + strings.Repeat("y", 3_000), strings.Repeat("x", 3_000) + strings.Repeat("*", len(secret)) + strings.Repeat("y", 3_000)},
	} {
		for way, in := range map[string]io.Reader{"whole": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in))} {
			if way == "byte by byte" && len(tt.in) > 10_000 {
				continue
			}
			got, err := io.ReadAll(&maskReader{in: in, mask: m})
			if err != nil || string(got) != tt.want {
				i := 0
				for i < min(len(got), len(tt.want)) && got[i] == tt.want[i] {
					i++
				}
				t.Errorf("%s, %s: differs at byte %d of %d: %.60q, %v", name, way, i, len(got), got[i:], err)
			}
		}
	}
	if _, err := io.ReadAll(&maskReader{in: iotest.ErrReader(io.ErrUnexpectedEOF), mask: m}); err != io.ErrUnexpectedEOF {
		t.Errorf("a broken file: %v", err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	if got, err := io.ReadAll(&maskReader{in: bytes.NewReader(large), mask: rconMask{}}); err != nil || !bytes.Equal(got, large) {
		t.Errorf("a large file without a secret came out different: %v", err)
	}
}
